"""The sequencer's pass in memory: it collects its changes and applies them at the end, or never."""

import threading
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import OutcomeRevision
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.ports import Closure, OpenDecision

if TYPE_CHECKING:
    from cxi_bandit.store.memory_outcomes import MemoryOutcomes


class MemorySequencing:
    """One pass: reads what stands, remembers what to change."""

    def __init__(self, outcomes: "MemoryOutcomes", lock: threading.RLock) -> None:
        self._outcomes = outcomes
        self._lock = lock
        self._taken: list[LedgerEntry] = []
        self._appended: list[OutcomeRevision] = []

    @property
    def ledger_cut(self) -> int:
        """See the port."""
        return self._outcomes.given + len(self._taken)

    def take_rewards(self, limit: int) -> list[LedgerEntry]:
        """See the port."""
        with self._lock:
            waiting = self._outcomes.inbox[len(self._taken) : len(self._taken) + limit]
            first = self.ledger_cut + 1
            taken = [msgspec.structs.replace(entry, position=first + index) for index, entry in enumerate(waiting)]
            self._taken.extend(taken)
            return taken

    def matured(self, before: datetime, limit: int) -> list[OpenDecision]:
        """See the port."""
        with self._lock:
            return self._outcomes.windows.matured(before, limit)

    def still_open(self, decisions: Collection[DecisionId]) -> list[OpenDecision]:
        """See the port."""
        with self._lock:
            return self._outcomes.windows.among(decisions)

    def closed(self, decisions: Collection[DecisionId]) -> dict[DecisionId, tuple[Decision, OutcomeRevision]]:
        """See the port."""
        with self._lock:
            known = self._outcomes.by_decision
            return {name: (self._outcomes.decisions[name], known[name][-1]) for name in decisions if name in known}

    def entries_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, list[LedgerEntry]]:
        """See the port."""
        taken: dict[DecisionId, list[LedgerEntry]] = {}
        for entry in self._taken:
            taken.setdefault(entry.event.decision_id, []).append(entry)
        found = {}
        with self._lock:
            for name in decisions:
                placed = [entry for entry in self._outcomes.ledger.get(name, ()) if entry.position is not None]
                if entries := placed + taken.get(name, []):
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
            made.append(
                OutcomeRevision(
                    policy=closure.policy,
                    position=position,
                    decision_id=closure.decision_id,
                    revision=closure.revision,
                    settlement=closure.settlement,
                    standing=closure.standing,
                    ledger_cut=self.ledger_cut,
                    closed_at=at,
                )
            )
        self._appended.extend(made)
        return made

    def commit(self) -> None:
        """Applies the pass."""
        outcomes = self._outcomes
        with self._lock:
            outcomes.given = self.ledger_cut
            del outcomes.inbox[: len(self._taken)]
            for entry in self._taken:
                held = outcomes.ledger[entry.event.decision_id]
                held[next(index for index, known in enumerate(held) if known.event == entry.event)] = entry
            for revision in self._appended:
                outcomes.log.setdefault(revision.policy, []).append(revision)
                outcomes.by_decision.setdefault(revision.decision_id, []).append(revision)
                outcomes.windows.closed(revision.decision_id)
