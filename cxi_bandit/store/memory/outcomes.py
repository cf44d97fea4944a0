"""OutcomeLog in memory, as its readers see it, and erasure. The sequencer's pass is in `memory_sequencing`."""

import threading
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.erasure import Erasure
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.outcome import (
    AsOf,
    Lesson,
    LoggedOutcome,
    OutcomeMark,
    OutcomeRevision,
    OutcomeStanding,
    TrainingRow,
)
from cxi_bandit.domain.reward import LedgerEntry, RewardKey
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.ports import Segment
from cxi_bandit.store.memory.addresses import AddressBook
from cxi_bandit.store.memory.heard import known_at
from cxi_bandit.store.memory.mending import MemoryRebuilds
from cxi_bandit.store.memory.sequencing import MemorySequencing
from cxi_bandit.store.memory.unlearning import Unlearned
from cxi_bandit.store.memory.windows import OpenWindows


class MemoryOutcomes:
    """OutcomeLog in memory."""

    def __init__(  # noqa: PLR0917 - what one process's memory is made of
        self,
        lock: threading.RLock,
        windows: OpenWindows,
        decisions: dict[DecisionId, Decision],
        ledger: dict[DecisionId, list[LedgerEntry]],
        inbox: list[LedgerEntry],
        rebuilds: MemoryRebuilds,
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
        self._rebuilds = rebuilds
        self._unlearned = Unlearned(ledger, book)
        self._erased: dict[PolicyName, dict[int, int]] = {}
        self._erasures: dict[PolicyName, list[Erasure]] = {}

    @contextmanager
    def sequencing(self) -> Iterator[MemorySequencing | None]:
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
        return len(self._erasures.get(policy, ()))

    def unlearn_cut(self, policy: PolicyName) -> int:
        """See the port."""
        return len(self._unlearned.of(policy))

    def segment(
        self,
        policy: PolicyName,
        after: int,
        up_to: int,
        ledger_cut: int,
        unlearn_cut: int = 0,
        *,
        heard: bool = False,
    ) -> Segment:
        """See the port."""
        with self._lock:
            emptied = self._erased.get(policy, {})
            learned = [revision for revision in self.log.get(policy, [])[after:up_to] if _learnable(revision)]
            erased = {row.position: emptied[row.position] for row in learned if row.position in emptied}
            rows = [
                self._lesson(revision, ledger_cut)
                for revision in learned
                if revision.position not in erased
                and not self._unlearned.left_out(policy, revision.decision_id, unlearn_cut, ledger_cut)
            ]
            names = [row.decision_id for row in rows] if heard else []
            return Segment(rows, erased, [], known_at(self.ledger, self.book, names, ledger_cut))

    def changed(self, policy: PolicyName, learned: Sequence[Lineage]) -> int | None:
        """See the port."""
        with self._lock:
            for index, lineage in enumerate(learned):
                first_closes = self.log.get(policy, [])[lineage.after : lineage.up_to]
                if any(self._changed(revision, lineage) for revision in first_closes if _learnable(revision)):
                    return index
            return None

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
                if wanted and revision.position not in erased and not self._left_out(revision, until.ledger_cut):
                    rows.append(self._logged(revision, until.ledger_cut))
            return rows

    def closes(self, policy: PolicyName, after: int, limit: int) -> list[OutcomeRevision]:
        """See the port."""
        with self._lock:
            erased = self._erased.get(policy, {})
            later = self.log.get(policy, [])[after:]
            kept = (row for row in later if row.revision == 0 and row.position not in erased)
            return list(islice(kept, limit))

    def erase(self, policy: PolicyName, decisions: Collection[DecisionId], at: datetime) -> int:
        """See the port. Waits for a pass under way, so that a pass never meets a decision that is half gone."""
        with self._turn, self._lock:
            number = self.erasure_cut(policy) + 1
            emptied = self._erased.setdefault(policy, {})
            self._unqueue(self.book.untie(decisions))
            removed = {"outcomes": 0, "reward_ledger": 0, "decisions": 0}
            learnable = []
            for decision in decisions:
                for revision in self.by_decision.pop(decision, ()):
                    emptied[revision.position] = number
                    removed["outcomes"] += 1
                    learnable += [revision.position] if _learnable(revision) else []
                self.windows.erased(decision)
                self.book.forget(decision)
                removed["decisions"] += self.decisions.pop(decision, None) is not None
                removed["reward_ledger"] += len(self.ledger.pop(decision, ()))
            self.inbox[:] = [entry for entry in self.inbox if entry.event.decision_id not in set(decisions)]
            erasure = Erasure(
                policy=policy, number=number, erased_at=at, removed=removed, learnable=tuple(sorted(learnable))
            )
            self._erasures.setdefault(policy, []).append(erasure)
            self._rebuilds.ask(policy, f"erasure {number}", at)
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

    def erasure(self, policy: PolicyName, number: int) -> Erasure:
        """See the port."""
        known = self._erasures.get(policy, [])
        if not 0 < number <= len(known):
            raise NotFound("erasure", f"{number} of policy {policy}")
        return known[number - 1]

    def unlearn(self, unlearning: Unlearning) -> Unlearning:
        """See the port."""
        with self._lock:
            made = self._unlearned.add(unlearning)
            self._rebuilds.ask(made.policy, f"unlearning {made.number}", made.asked_at)
            return made

    def unlearned(self, unlearning: Unlearning) -> int:
        """See the port."""
        policy = unlearning.policy
        with self._lock:
            rows = [row for row in self.log.get(policy, []) if _learnable(row) and row.decision_id in self.by_decision]
            return sum(self._unlearned.concerns(unlearning, row.decision_id, self.given) for row in rows)

    def unlearnings(self, policy: PolicyName) -> list[Unlearning]:
        """See the port."""
        return self._unlearned.of(policy)

    def _left_out(self, first: OutcomeRevision, ledger_cut: int) -> bool:
        return self._unlearned.left_out(first.policy, first.decision_id, self.unlearn_cut(first.policy), ledger_cut)

    def _changed(self, first: OutcomeRevision, lineage: Lineage) -> bool:
        erased = self._erased.get(first.policy, {}).get(first.position)
        if erased is not None:
            return erased > lineage.erasure_cut
        if any(late.revision and late.ledger_cut > lineage.ledger_cut for late in self.by_decision[first.decision_id]):
            return True
        then = self._unlearned.left_out(first.policy, first.decision_id, lineage.unlearn_cut, lineage.ledger_cut)
        return then != self._left_out(first, self.given)

    def _known(self, first: OutcomeRevision, ledger_cut: int) -> OutcomeRevision:
        revisions = self.by_decision[first.decision_id]
        known = bisect_right(revisions, ledger_cut, key=lambda revision: revision.ledger_cut)
        return revisions[max(known - 1, 0)]

    def _lesson(self, first: OutcomeRevision, ledger_cut: int) -> Lesson:
        settlement = self._known(first, ledger_cut).settlement
        return TrainingRow(
            position=first.position, decision=self.decisions[first.decision_id], reward=settlement.reward
        ).lesson

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
