"""What the engine needs of the outside, with the behaviour each implementation promises.

All calls are synchronous and take batches; the service awaits them in threads, the simulator calls them directly. One
contract suite runs on every implementation.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from cxi_bandit.domain.access import ApiKey
from cxi_bandit.domain.decision import Decision, Situation
from cxi_bandit.domain.errors import IdempotencyConflict
from cxi_bandit.domain.identifiers import DecisionId, ManifestSha, ModelVersion, PolicyName, Source
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.outcome import OutcomeRevision, OutcomeStanding, Settlement, TrainingRow
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.reward import LedgerEntry, RewardStatus
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.policy.manifest import Manifest

Clock = Callable[[], datetime]


class IdempotencyToken(msgspec.Struct, frozen=True, gc=False):
    """A caller's Idempotency-Key, scoped to the caller, with a digest of the body it came with."""

    caller: str
    key: str
    body_sha256: bytes


class DecisionEntry(msgspec.Struct, frozen=True, gc=False):
    """A decision on its way into the log."""

    decision: Decision
    idempotency: IdempotencyToken | None = None


class DecisionLog(Protocol):
    """Every decision made, kept as it was made.

    Durable: when `append` returns, its decisions survive a crash. Idempotent: appending a decision id again changes
    nothing. All or nothing: a batch that fails leaves no row.
    """

    def append(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        """Appends, and opens each new decision's attribution window in the same transaction.

        Returns:
            For each entry the decision that stands: its own, or, where its idempotency key was used before with the
            same body, the first one; `IdempotencyConflict` where the body differs. A racing duplicate waits for the
            winner.

        Raises:
            Unavailable: The store cannot be reached; nothing was appended, or the same batch may be sent again.
        """
        ...

    def find(self, decisions: Collection[DecisionId]) -> dict[DecisionId, Decision]:
        """Those of `decisions` that are in the log."""
        ...

    def activate(self, decision: DecisionId, at: datetime) -> bool:
        """Notes that the decision was shown; the first time stands. False when there is no such decision."""
        ...

    def scan(self, policy: PolicyName, after: DecisionId | None, limit: int) -> list[Decision]:
        """Up to `limit` decisions of a policy in id (time) order, those later than `after`."""
        ...


class RewardLedger(Protocol):
    """Append-only ledger of reward events; idempotent by (source, reward_id); durable when `append` returns."""

    def append(self, entries: Sequence[LedgerEntry]) -> list[RewardStatus]:
        """Appends what is new.

        Returns:
            For each entry: ACCEPTED when appended, DUPLICATE when the very same event stands already (also earlier in
            this batch), CONFLICT when its id stands with another content.
        """
        ...

    def history(self, decision: DecisionId) -> list[LedgerEntry]:
        """Every entry of a decision in order of receipt."""
        ...


class OpenDecision(msgspec.Struct, frozen=True, gc=False):
    """A decision whose attribution window has not been closed yet."""

    decision: Decision
    activated: bool


class Closure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An outcome revision before the sequencer has given it its position."""

    policy: PolicyName
    decision_id: DecisionId
    revision: int
    settlement: Settlement
    standing: OutcomeStanding


class Sequencing(Protocol):
    """One pass of the one sequencer, inside one transaction: all of it commits when the pass ends well, or none.

    Ledger positions and outcome positions are dense and ordered as taken and appended here; no event that ever commits
    is skipped, however late it commits.
    """

    @property
    def ledger_cut(self) -> int:
        """The last ledger position given so far, this pass included."""
        ...

    def take_rewards(self, limit: int) -> list[LedgerEntry]:
        """Gives the next dense ledger positions to committed entries that have none, oldest receipt first."""
        ...

    def matured(self, before: datetime, limit: int) -> list[OpenDecision]:
        """Not yet closed decisions whose window ended at or before `before`, by (closes_at, decision id)."""
        ...

    def still_open(self, decisions: Collection[DecisionId]) -> list[OpenDecision]:
        """Those of `decisions` whose window is not closed, in decision order."""
        ...

    def closed(self, decisions: Collection[DecisionId]) -> dict[DecisionId, tuple[Decision, OutcomeRevision]]:
        """Those of `decisions` already closed and not erased, with their latest revision."""
        ...

    def entries_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, list[LedgerEntry]]:
        """All entries with a ledger position, by decision; a decision without any is absent."""
        ...

    def append(self, closures: Sequence[Closure], at: datetime) -> list[OutcomeRevision]:
        """Gives each closure the next dense position of its policy, in order; a revision 0 closes the window."""
        ...


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A run of outcome positions as a learner sees it.

    Attributes:
        rows: First closes that may be learned, in position order, with rewards as known at the stated ledger cut.
        erased: Positions whose decision was erased, with the number of the erasure.
        expired: Positions whose decision retention has dropped.
    """

    rows: list[TrainingRow]
    erased: dict[int, int]
    expired: list[int]


class OutcomeLog(Protocol):
    """Outcome revisions at dense positions per policy; written only by the sequencer."""

    def sequencing(self) -> AbstractContextManager[Sequencing | None]:
        """Opens a pass; None when another process is the sequencer now. Leaving it by an exception undoes it."""
        ...

    def head(self, policy: PolicyName) -> int:
        """The last position of the policy, 0 when it has none."""
        ...

    def ledger_cut(self) -> int:
        """The last ledger position given, 0 when none."""
        ...

    def erasure_cut(self, policy: PolicyName) -> int:
        """The number of the policy's last erasure, 0 when none."""
        ...

    def segment(self, policy: PolicyName, after: int, up_to: int, ledger_cut: int) -> Segment:
        """Positions in (after, up_to]. The same arguments give the same rows for ever, save erasure and retention."""
        ...

    def revisions(self, decision: DecisionId) -> list[OutcomeRevision]:
        """All revisions of a decision's outcome, oldest first."""
        ...

    def scan(self, policy: PolicyName, after: int, limit: int) -> list[TrainingRow]:
        """Up to `limit` first closes after a position, rewards as known now: a log to replay."""
        ...

    def erase(self, policy: PolicyName, decisions: Collection[DecisionId], at: datetime) -> int:
        """Removes the decisions' content, rewards and outcomes; positions stay, empty. Returns the number."""
        ...


class Registry(Protocol):
    """Manifests, policy versions, models with lineage, the audit trail. Append-only but for stages and heads."""

    def put_manifest(self, text: str) -> ManifestSha:
        """Keeps a manifest's exact text under its SHA-256. Idempotent."""
        ...

    def manifest_text(self, sha: ManifestSha) -> str:
        """The text kept under `sha`. Raises NotFound."""
        ...

    def install(self, version: PolicyVersion, entry: AuditEntry) -> PolicyVersion:
        """Records a policy version and its audit line; the same (policy, version) again returns what stands."""
        ...

    def versions(self, policy: PolicyName | None = None) -> list[PolicyVersion]:
        """Versions of one or all policies, by name and number."""
        ...

    def head(self, policy: PolicyName, policy_version: int) -> Model | None:
        """The model a policy version serves and learns on from; None before its first."""
        ...

    def heads(self) -> list[Model]:
        """The head of every policy version that has one, in one cheap read: what workers poll."""
        ...

    def model(self, policy: PolicyName, version: ModelVersion) -> Model:
        """Raises NotFound."""
        ...

    def models(self, policy: PolicyName) -> list[Model]:
        """All models of a policy, by version."""
        ...

    def model_bytes(self, policy: PolicyName, version: ModelVersion) -> bytes | None:
        """The bytes as committed; None once thinned away. Raises NotFound."""
        ...

    def publish(self, model: Model, data: bytes, *, moves_head_from: ModelVersion | None, adopt: bool = True) -> None:
        """Commits bytes, SHA-256 and lineage in one transaction, moves the head when `adopt`, and tells the workers.

        Raises:
            LearningConflict: The head is not `moves_head_from` any more, or the version exists: nothing was written.
        """
        ...

    def writer(self, policy: PolicyName) -> AbstractContextManager[bool]:
        """Tries to become the policy's one learner for the length of the context; False when another process is."""
        ...

    def trail(self, policy: PolicyName | None = None) -> list[AuditEntry]:
        """The audit trail, oldest first."""
        ...


class Keyring(Protocol):
    """Secrets that must outlive any process: they stand in the database, made at its first start."""

    def draw_key(self, key_id: str | None = None) -> DrawKey:
        """The key that draws now, or the one named. Raises NotFound."""
        ...

    def subject_key(self) -> bytes:
        """The key under which shoppers are pseudonymised."""
        ...


class Access(Protocol):
    """API keys by digest and webhook secrets by source; durable when a call returns."""

    def key(self, digest: bytes) -> ApiKey | None:
        """The unrevoked key whose secret has this SHA-256 digest."""
        ...

    def keys(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        ...

    def add_key(self, key: ApiKey, digest: bytes) -> None:
        """Raises InvalidInput when the name is taken."""
        ...

    def revoke_key(self, name: str, at: datetime) -> None:
        """Raises NotFound. Revoking again changes nothing."""
        ...

    def webhook_secrets(self, source: Source) -> list[str]:
        """Every active secret of a source, newest first; empty when there is no such source."""
        ...

    def add_webhook_secret(self, source: Source, secret: str, at: datetime) -> None:
        """Adds an active secret (`whsec_...`); older ones stay active until revoked."""
        ...

    def revoke_webhook_secrets(self, source: Source, at: datetime, *, but_newest: bool) -> int:
        """Revokes a source's secrets, or all but the newest; returns how many."""
        ...


class Scorer(Protocol):
    """A loaded model. Predicting leaves no trace: the same situation gives the same vector whatever came before."""

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """The explorer's raw vector over `situation.eligible`: unchecked, unfloored."""
        ...


class ModelRoom(Protocol):
    """Where models are made and loaded."""

    @property
    def build(self) -> str:
        """The exact learner build; part of every lineage."""
        ...

    def start(self, manifest: Manifest) -> bytes:
        """The untrained model of a manifest. Pure."""
        ...

    def learn(self, manifest: Manifest, parent: bytes, rows: Iterable[TrainingRow]) -> bytes:
        """Loads `parent`, learns `rows` in order, saves. Pure: same arguments, same build, same bytes."""
        ...

    def load(self, manifest: Manifest, data: bytes) -> Scorer:
        """A scorer of those bytes. Raises ModelInvalid when they are no model of this manifest."""
        ...
