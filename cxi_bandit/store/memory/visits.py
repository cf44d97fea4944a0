"""Visits in memory."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName, lowest_id_at
from cxi_bandit.domain.outcome import OutcomeRevision
from cxi_bandit.engine.ports import Visit


class MemoryVisits:
    """Indices over the decisions of one process's memory. What was erased stays in them and is skipped."""

    def __init__(
        self,
        lock: threading.RLock,
        rows: Mapping[DecisionId, Decision],
        outcomes: Mapping[DecisionId, Sequence[OutcomeRevision]],
    ) -> None:
        self._lock = lock
        self._rows = rows
        self._outcomes = outcomes
        self._made: dict[PolicyName, list[DecisionId]] = {}
        self._of_shopper: dict[tuple[PolicyName, bytes], list[DecisionId]] = {}

    def logged(self, decision: Decision) -> None:
        """A decision is in the log, once. Under the store's lock."""
        insort(self._made.setdefault(decision.policy, []), decision.decision_id)
        if decision.subject is not None:
            insort(self._of_shopper.setdefault((decision.policy, decision.subject), []), decision.decision_id)

    def between(self, policy: PolicyName, after: DecisionId, before: datetime, limit: int) -> list[Visit]:
        """See the port."""
        with self._lock:
            made = self._made.get(policy, [])
            span = range(bisect_right(made, after), bisect_left(made, lowest_id_at(before)))
            known = (made[index] for index in span if made[index] in self._rows)
            return [self._visit(name) for name in islice(known, limit)]

    def first(
        self, policy: PolicyName, subjects: Collection[bytes], since: datetime, defects: Collection[str] = ()
    ) -> dict[bytes, DecisionId]:
        """See the port."""
        found: dict[bytes, DecisionId] = {}
        with self._lock:
            for subject in subjects:
                made = self._of_shopper.get((policy, subject), [])
                for name in made[bisect_left(made, lowest_id_at(since)) :]:
                    row = self._rows.get(name)
                    if row is not None and (not defects or row.situation.defect.type in defects):
                        found[subject] = name
                        break
        return found

    def following(self, first: Sequence[Decision], window: timedelta, limit: int) -> dict[DecisionId, list[Visit]]:
        """See the port."""
        found: dict[DecisionId, list[Visit]] = {}
        with self._lock:
            for decision in first:
                made = self._of_shopper.get((decision.policy, decision.subject or b""), [])
                end = bisect_left(made, lowest_id_at(decision.decided_at + window))
                later = made[bisect_right(made, decision.decision_id) : end]
                found[decision.decision_id] = [self._visit(name) for name in later if name in self._rows][:limit]
        return found

    def _visit(self, name: DecisionId) -> Visit:
        revisions = self._outcomes.get(name)
        return Visit(self._rows[name], revisions[0] if revisions else None)
