"""The sequencer's pass in memory: it collects its changes and applies them at the end, or never."""

import threading
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import OutcomeRevision, Window
from cxi_bandit.domain.reward import LedgerEntry, RewardKey
from cxi_bandit.engine.ports import Closure, OpenWindow
from cxi_bandit.store.memory.addresses import MemoryCrediting

if TYPE_CHECKING:
    from cxi_bandit.store.memory.outcomes import MemoryOutcomes


class MemorySequencing:
    """One pass: reads what stands, remembers what to change."""

    def __init__(self, outcomes: "MemoryOutcomes", lock: threading.RLock) -> None:
        self._outcomes = outcomes
        self._lock = lock
        self._taken: list[LedgerEntry] = []
        self._taken_keys: set[RewardKey] = set()
        self._given = 0
        self._addresses = MemoryCrediting(outcomes.book, self._taken_keys, self._next_position)
        self._appended: list[OutcomeRevision] = []

    @property
    def ledger_cut(self) -> int:
        """See the port."""
        return self._outcomes.given + self._given

    @property
    def addresses(self) -> MemoryCrediting:
        """See the port."""
        return self._addresses

    def take_rewards(self, limit: int) -> list[LedgerEntry]:
        """See the port."""
        with self._lock:
            waiting = self._outcomes.inbox[len(self._taken) : len(self._taken) + limit]
            taken = [msgspec.structs.replace(entry, position=self._next_position()) for entry in waiting]
            self._taken.extend(taken)
            self._taken_keys.update(entry.event.key for entry in taken)
            return taken

    def matured(self, before: datetime, limit: int) -> list[OpenWindow]:
        """See the port."""
        with self._lock:
            return self._outcomes.windows.matured(before, limit)

    def still_open(self, decisions: Collection[DecisionId]) -> list[OpenWindow]:
        """See the port."""
        with self._lock:
            return self._outcomes.windows.among(decisions)

    def closed(self, decisions: Collection[DecisionId]) -> dict[DecisionId, tuple[Window, OutcomeRevision]]:
        """See the port."""
        with self._lock:
            known = self._outcomes.by_decision
            return {
                name: (Window.of(self._outcomes.decisions[name]), known[name][-1])
                for name in decisions
                if name in known
            }

    def entries_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, list[LedgerEntry]]:
        """See the port."""
        taken: dict[DecisionId | None, list[LedgerEntry]] = {}
        for entry in self._taken:
            taken.setdefault(entry.event.decision_id, []).append(entry)
        found = {}
        with self._lock:
            for name in decisions:
                placed = [entry for entry in self._outcomes.ledger.get(name, ()) if entry.position is not None]
                if entries := placed + taken.get(name, []) + self._addresses.entries_of(name):
                    found[name] = entries
        return found

    def append(self, closures: Sequence[Closure], at: datetime) -> list[OutcomeRevision]:
        """See the port."""
        heads: dict[PolicyName, int] = {}
        for revision in self._appended:
            heads[revision.policy] = revision.position
        made = []
        for closure in closures:
            position = heads.get(closure.policy, self._outcomes.head(closure.policy)) + 1
            heads[closure.policy] = position
            made.append(closure.placed(position, self.ledger_cut, at))
        self._appended.extend(made)
        return made

    def commit(self) -> None:
        """Applies the pass."""
        outcomes = self._outcomes
        with self._lock:
            outcomes.given = self.ledger_cut
            del outcomes.inbox[: len(self._taken)]
            for entry in self._taken:
                outcomes.book.placed(entry)
                if entry.event.decision_id is not None:
                    held = outcomes.ledger[entry.event.decision_id]
                    held[next(index for index, known in enumerate(held) if known.event == entry.event)] = entry
            for position, change in self._addresses.changes:
                outcomes.book.credited(position, change)
            for revision in self._appended:
                outcomes.log.setdefault(revision.policy, []).append(revision)
                outcomes.by_decision.setdefault(revision.decision_id, []).append(revision)
                outcomes.windows.closed(revision.decision_id)

    def _next_position(self) -> int:
        self._given += 1
        return self.ledger_cut
