"""OutcomeLog and its sequencer in memory: a pass collects its changes and applies them at the end, or never."""

import heapq
import threading
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import (
    AsOf,
    LoggedOutcome,
    OutcomeMark,
    OutcomeRevision,
    OutcomeStanding,
    TrainingRow,
)
from cxi_bandit.domain.reward import LedgerEntry, RewardKey
from cxi_bandit.engine.ports import Closure, OpenDecision, Segment
from cxi_bandit.store.memory_addresses import AddressBook, MemoryCrediting


class OpenWindows:
    """Decisions whose attribution window is not closed, by when it ends."""

    def __init__(self) -> None:
        self._by_close: list[tuple[datetime, DecisionId]] = []
        self._open: dict[DecisionId, Decision] = {}
        self.activated: dict[DecisionId, datetime] = {}
        self.set_aside: dict[DecisionId, OutcomeStanding] = {}
        self._seen_after_all: set[DecisionId] = set()

    def opened(self, decision: Decision) -> None:
        """A decision was logged."""
        self._open[decision.decision_id] = decision
        heapq.heappush(self._by_close, (decision.closes_at, decision.decision_id))

    def closed(self, decision: DecisionId) -> None:
        """Its first outcome was appended, or it was erased."""
        self._open.pop(decision, None)
        while self._by_close and self._by_close[0][1] not in self._open:
            heapq.heappop(self._by_close)

    def abandoned(self, decision: DecisionId) -> None:
        """Nobody was told of it in time."""
        if decision not in self._seen_after_all:
            self.set_aside.setdefault(decision, OutcomeStanding.ABANDONED)

    def answered(self, decision: DecisionId) -> None:
        """Somebody was told of it, if only later."""
        self._seen_after_all.add(decision)
        if self.set_aside.get(decision) is OutcomeStanding.ABANDONED:
            del self.set_aside[decision]

    def matured(self, before: datetime, limit: int) -> list[OpenDecision]:
        """See the port."""
        due: list[tuple[datetime, DecisionId]] = []
        taken: list[tuple[datetime, DecisionId]] = []
        while self._by_close and len(due) < limit and self._by_close[0][0] <= before:
            taken.append(heapq.heappop(self._by_close))
            if taken[-1][1] in self._open:
                due.append(taken[-1])
        for entry in taken:
            heapq.heappush(self._by_close, entry)
        return [self._seen(name) for _, name in due]

    def among(self, decisions: Collection[DecisionId]) -> list[OpenDecision]:
        """Those of `decisions` still open, in decision order."""
        return [self._seen(name) for name in sorted(decisions) if name in self._open]

    def _seen(self, decision: DecisionId) -> OpenDecision:
        seen = self._open[decision]
        shown = self.activated.get(decision)
        return OpenDecision(seen, shown is not None and shown <= seen.closes_at, self.set_aside.get(decision))


class MemoryOutcomes:
    """OutcomeLog in memory."""

    def __init__(
        self,
        lock: threading.RLock,
        windows: OpenWindows,
        decisions: dict[DecisionId, Decision],
        ledger: dict[DecisionId, list[LedgerEntry]],
        inbox: list[LedgerEntry],
        book: AddressBook,
    ) -> None:
        self._lock = lock
        self._turn = threading.Lock()
        self.windows = windows
        self.decisions = decisions
        self.ledger = ledger
        self.inbox = inbox
        self.book = book
        self.given = 0
        self.log: dict[PolicyName, list[OutcomeRevision]] = {}
        self.by_decision: dict[DecisionId, list[OutcomeRevision]] = {}
        self._erased: dict[PolicyName, dict[int, int]] = {}
        self._erasures: dict[PolicyName, int] = {}

    @contextmanager
    def sequencing(self) -> Iterator["MemorySequencing | None"]:
        """See the port."""
        if not self._turn.acquire(blocking=False):
            yield None
            return
        try:
            sequencing = MemorySequencing(self, self._lock)
            yield sequencing
            sequencing.commit()
        finally:
            self._turn.release()

    def head(self, policy: PolicyName) -> int:
        """See the port."""
        return len(self.log.get(policy, ()))

    def ledger_cut(self) -> int:
        """See the port."""
        return self.given

    def erasure_cut(self, policy: PolicyName) -> int:
        """See the port."""
        return self._erasures.get(policy, 0)

    def segment(self, policy: PolicyName, after: int, up_to: int, ledger_cut: int) -> Segment:
        """See the port."""
        with self._lock:
            emptied = self._erased.get(policy, {})
            learned = [revision for revision in self.log.get(policy, [])[after:up_to] if _learnable(revision)]
            erased = {row.position: emptied[row.position] for row in learned if row.position in emptied}
            rows = [self._row(revision, ledger_cut) for revision in learned if revision.position not in erased]
            return Segment(rows, erased, [])

    def revisions(self, decision: DecisionId) -> list[OutcomeRevision]:
        """See the port."""
        return list(self.by_decision.get(decision, ()))

    def mark(self, policy: PolicyName, position: int) -> OutcomeMark | None:
        """See the port."""
        known = self.log.get(policy, [])
        if not 0 < position <= len(known):
            return None
        revision = known[position - 1]
        return OutcomeMark(position, revision.ledger_cut, revision.closed_at)

    def scan(
        self, policy: PolicyName, after: int, limit: int, as_of: AsOf | None = None, *, unlearnable: bool = False
    ) -> list[LoggedOutcome]:
        """See the port."""
        with self._lock:
            until = as_of or AsOf(self.head(policy), self.given)
            erased = self._erased.get(policy, {})
            rows: list[LoggedOutcome] = []
            for revision in self.log.get(policy, [])[after : until.position]:
                if len(rows) == limit:
                    break
                wanted = _learnable(revision) or (unlearnable and revision.revision == 0)
                if wanted and revision.position not in erased:
                    rows.append(self._logged(revision, until.ledger_cut))
            return rows

    def closes(self, policy: PolicyName, after: int, limit: int) -> list[OutcomeRevision]:
        """See the port."""
        with self._lock:
            erased = self._erased.get(policy, {})
            later = self.log.get(policy, [])[after:]
            kept = (row for row in later if row.revision == 0 and row.position not in erased)
            return list(islice(kept, limit))

    def erase(self, policy: PolicyName, decisions: Collection[DecisionId], at: datetime) -> int:  # noqa: ARG002 - the port's signature
        """See the port. Waits for a pass under way, so that a pass never meets a decision that is half gone."""
        with self._turn, self._lock:
            number = self._erasures[policy] = self.erasure_cut(policy) + 1
            emptied = self._erased.setdefault(policy, {})
            self._unqueue(self.book.untie(decisions))
            for decision in decisions:
                for revision in self.by_decision.pop(decision, ()):
                    emptied[revision.position] = number
                self.windows.closed(decision)
                self.book.forget(decision)
                self.decisions.pop(decision, None)
                self.ledger.pop(decision, None)
            self.inbox[:] = [entry for entry in self.inbox if entry.event.decision_id not in set(decisions)]
            return number

    def forget_shopper(self, subject: bytes, at: datetime) -> dict[str, int]:
        """See the port."""
        with self._turn, self._lock:
            gone, credited = self.book.forget_shopper(subject, at)
            self._unqueue(gone)
            return {"reward_ledger": len(gone), "credits": credited}

    def _unqueue(self, gone: Collection[RewardKey]) -> None:
        if gone:
            self.inbox[:] = [entry for entry in self.inbox if entry.event.key not in gone]

    def _known(self, first: OutcomeRevision, ledger_cut: int) -> OutcomeRevision:
        revisions = self.by_decision[first.decision_id]
        known = bisect_right(revisions, ledger_cut, key=lambda revision: revision.ledger_cut)
        return revisions[max(known - 1, 0)]

    def _row(self, first: OutcomeRevision, ledger_cut: int) -> TrainingRow:
        settlement = self._known(first, ledger_cut).settlement
        return TrainingRow(
            position=first.position, decision=self.decisions[first.decision_id], reward=settlement.reward
        )

    def _logged(self, first: OutcomeRevision, ledger_cut: int) -> LoggedOutcome:
        settlement, decision = self._known(first, ledger_cut).settlement, self.decisions[first.decision_id]
        shown = self.windows.activated.get(first.decision_id)
        return LoggedOutcome(
            position=first.position,
            decision=decision,
            reward=settlement.reward,
            completed=settlement.completed,
            standing=first.standing,
            activated=shown is not None and shown <= min(decision.closes_at, first.closed_at),
        )


def _learnable(revision: OutcomeRevision) -> bool:
    return revision.revision == 0 and revision.standing is OutcomeStanding.LEARNABLE


class MemorySequencing:
    """One pass: reads what stands, remembers what to change."""

    def __init__(self, outcomes: MemoryOutcomes, lock: threading.RLock) -> None:
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

    def _next_position(self) -> int:
        self._given += 1
        return self.ledger_cut

    def take_rewards(self, limit: int) -> list[LedgerEntry]:
        """See the port."""
        with self._lock:
            waiting = self._outcomes.inbox[len(self._taken) : len(self._taken) + limit]
            taken = [msgspec.structs.replace(entry, position=self._next_position()) for entry in waiting]
            self._taken.extend(taken)
            self._taken_keys.update(entry.event.key for entry in taken)
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
