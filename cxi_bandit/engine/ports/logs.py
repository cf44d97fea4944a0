"""Where decisions and rewards are kept as they came: append-only, idempotent, durable."""

from collections.abc import Awaitable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import IdempotencyConflict
from cxi_bandit.domain.identifiers import DecisionId, ManifestSha, PolicyName, RewardId, Source
from cxi_bandit.domain.reward import LedgerEntry, RewardStatus
from cxi_bandit.domain.search import Found, SetAsides, Wanted
from cxi_bandit.engine.ports.attribution import Addresses


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

    def adopt(self, entries: Sequence[DecisionEntry]) -> int:
        """Appends decisions that were answered while the log was away: every one of them lands, as itself.

        Where another decision holds an entry's idempotency key by now, with the same body, the entry is set aside as
        its alias and never learned; unless that other one was abandoned, for then this is the one that was seen. With
        another body it was a request of its own, and stands without a key.

        Returns:
            How many became aliases.

        Raises:
            Unavailable: As `append`.
        """
        ...

    def abandon(self, decisions: Collection[DecisionId]) -> None:
        """Sets decisions aside that nobody was told of in time, so that no model learns them.

        Whether they are in the log or not: the commit that carried them may have failed.
        """
        ...

    def answered(self, decisions: Collection[DecisionId]) -> None:
        """Notes that a later request with the same Idempotency-Key was answered with these decisions.

        They were seen after all, and are not set aside as abandoned, whichever of the two is noted first.
        """
        ...

    def probe(self) -> None:
        """Raises Unavailable unless decisions can be appended now."""
        ...

    def find(self, decisions: Collection[DecisionId]) -> dict[DecisionId, Decision]:
        """Those of `decisions` that are in the log."""
        ...

    def manifests_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, ManifestSha]:
        """Under which manifest each was made, of those of `decisions` that are in the log; cheaper than `find`."""
        ...

    def activate(self, decision: DecisionId, at: datetime) -> bool:
        """Notes that the decision was shown; the first time stands. False when there is no such decision."""
        ...

    def of_subject(self, subject: bytes, until: datetime) -> dict[PolicyName, list[DecisionId]]:
        """Every decision made for a pseudonym up to a moment, over all policies, in id (time) order."""
        ...

    def scan(self, policy: PolicyName, after: DecisionId | None, limit: int) -> list[Decision]:
        """Up to `limit` decisions of a policy in id (time) order, those later than `after`."""
        ...

    def latest(self, policy: PolicyName, limit: int) -> list[Decision]:
        """The last `limit` decisions of a policy, in id (time) order."""
        ...

    def search(self, wanted: Wanted, before: DecisionId | None, limit: int, look: int) -> Found:
        """Up to `limit` decisions, the newest first: those earlier than `before`, or from the newest on.

        Args:
            look: How many rows are looked at, at most, whatever they are: so no search takes long, and what is rare is
                found over several pages.
        """
        ...

    def set_asides(self, before: DecisionId | None, limit: int, look: int) -> SetAsides:
        """Up to `limit` of the decisions that are set aside and never learned, as `search` finds decisions."""
        ...


class PromptLog(Protocol):
    """A decision log's way to append on an event loop, for where handing over to a thread is dearer than appending."""

    def append(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        """As `DecisionLog.append`; called in one thread."""
        ...

    def prompt(self, entries: Sequence[DecisionEntry]) -> Awaitable[Sequence[Decision | IdempotencyConflict] | None]:
        """What `append` would give, on the loop and one batch at a time.

        None: this batch is `append`'s, whatever has become of it here.
        """
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

    def quarantine(
        self,
        after: int,
        limit: int,
        *,
        source: Source | None = None,
        metric: str | None = None,
        reward_id: RewardId | None = None,
    ) -> list[tuple[int, LedgerEntry]]:
        """Up to `limit` entries that were quarantined on receipt, each with its number, in order of receipt.

        Args:
            after: Those with a higher number.
        """
        ...

    def history(self, decision: DecisionId) -> list[LedgerEntry]:
        """Every entry that a decision has now, in order of receipt."""
        ...

    def known_at(self, decisions: Collection[DecisionId], ledger_cut: int) -> dict[DecisionId, list[LedgerEntry]]:
        """What each decision had at a ledger position, in ledger order; absent where there was nothing.

        The same arguments give the same entries for ever once the position has been given, save erasure and retention.
        """
        ...

    def addresses(self) -> AbstractContextManager[Addresses]:
        """All events that name shoppers and orders, sequenced or not, for as long as the context lasts."""
        ...
