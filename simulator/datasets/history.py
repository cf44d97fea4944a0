"""The raw reward events behind a live log, from which its outcomes can be settled again under other rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
import numpy as np

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ManifestSha
from cxi_bandit.domain.outcome import Settlement
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.ports import RewardLedger
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.settlement import quarantine_reason, settle
from simulator.progress import Track, silent
from simulator.rounds import Bools, Float64s, Ints

_BATCH = 2000


@dataclass(frozen=True, eq=False, kw_only=True)
class RewardHistory:
    """Every row's reward events up to a cut, in the order of the log's rows.

    Args:
        entries: Ledger entries by decision; a decision without any is absent.
        manifests: Those that logged the rows.
        known_until: Events that occurred by then, and were sent in time, are among the entries.
        definition: The manifest whose reward settles every row; None settles each row under the one that logged it.
    """

    decisions: Sequence[Decision]
    entries: Mapping[DecisionId, Sequence[LedgerEntry]]
    manifests: Mapping[ManifestSha, Manifest]
    known_until: datetime
    definition: Manifest | None = None

    def settled(self, horizons: float = 1.0) -> list[Settlement]:
        """The outcome of every row, its attribution window `horizons` times as long as declared.

        Raises:
            InvalidInput: The definition does not price an intervention that was drawn.
        """
        return [self._settled(decision, horizons) for decision in self.decisions]

    def matured(self, horizons: float = 1.0) -> Bools:
        """Which rows are older than that window, so that nothing of it can still be on its way, shape (n,)."""
        return np.array([self._window(decision, horizons)[1] <= self.known_until for decision in self.decisions])

    def horizon(self, decision: Decision) -> timedelta:
        """The declared attribution window."""
        if self.definition is None:
            return decision.closes_at - decision.decided_at
        return timedelta(seconds=self.definition.reward.horizon_seconds)

    def under(self, definition: Manifest) -> "RewardHistory":
        """The same events under another manifest's reward.

        Raises:
            InvalidInput: It does not price an intervention that was drawn.
        """
        for name in sorted({decision.intervention for decision in self.decisions} - set(definition.catalogue)):
            raise InvalidInput("reward", f"policy {definition.name} has no intervention {name!r}; the log drew it")
        return replace(self, definition=definition)

    def take(self, rows: Ints) -> "RewardHistory":
        """The history of those rows."""
        return replace(self, decisions=[self.decisions[row] for row in rows])

    def _settled(self, decision: Decision, horizons: float) -> Settlement:
        logged = self.manifests[decision.manifest_sha]
        entries = [_unprejudiced(entry, logged) for entry in self.entries.get(decision.decision_id, ())]
        manifest = self.definition or logged
        return settle(manifest, decision.intervention, self._window(decision, horizons), entries)

    def _window(self, decision: Decision, horizons: float) -> tuple[datetime, datetime]:
        return decision.decided_at, decision.decided_at + horizons * self.horizon(decision)


def read_history(
    decisions: Sequence[Decision],
    manifests: Mapping[ManifestSha, Manifest],
    ledger: RewardLedger,
    cut: tuple[int, datetime],
    track: Track = silent,
) -> RewardHistory:
    """Reads the ledger's entries of `decisions` up to a position.

    Args:
        cut: The ledger position, and the moment at which the log stood.
    """
    entries: dict[DecisionId, list[LedgerEntry]] = {}
    with track("Reading the reward ledger", len(decisions)) as advance:
        for start in range(0, len(decisions), _BATCH):
            batch = [decision.decision_id for decision in decisions[start : start + _BATCH]]
            entries |= ledger.known_at(batch, cut[0])
            advance(len(batch))
    return RewardHistory(decisions=decisions, entries=entries, manifests=manifests, known_until=cut[1])


def evidence(
    rows: Iterable[tuple[Decision, float, bool]], manifest_of: Mapping[ManifestSha, Manifest] | Manifest
) -> Float64s:
    """By how much events moved each row's reward from what it would be without any, shape (n,).

    Args:
        rows: Decision, reward, and whether an event arrived.
        manifest_of: Whose reward settled the rows: one for all, or each row's own by SHA-256.
    """
    unmoved: dict[tuple[ManifestSha, InterventionId], float] = {}
    moved = []
    for decision, reward, completed in rows:
        key = decision.manifest_sha, decision.intervention
        if key not in unmoved:
            manifest = manifest_of if isinstance(manifest_of, Manifest) else manifest_of[decision.manifest_sha]
            window = decision.decided_at, decision.closes_at
            unmoved[key] = settle(manifest, decision.intervention, window, []).reward
        moved.append(reward - unmoved[key] if completed else 0.0)
    return np.array(moved, dtype=np.float64)


def _unprejudiced(entry: LedgerEntry, logged: Manifest) -> LedgerEntry:
    """The entry without the quarantine that the logging manifest's rule put it in: another manifest may allow it."""
    event = entry.event
    if entry.quarantined is None or quarantine_reason(logged, event.metric, event.value) is None:
        return entry
    return msgspec.structs.replace(entry, quarantined=None)
