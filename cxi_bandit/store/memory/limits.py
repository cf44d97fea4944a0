"""Leases and permits in memory."""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD, Decision
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, PolicyName
from cxi_bandit.engine.ports import LeaseRequest, PermitRequest, Unspent
from cxi_bandit.policy.budgets import Amount, granted
from cxi_bandit.policy.caps import Use

_Day = tuple[PolicyName, date, InterventionId]


class MemoryBudgets:
    """Budgets in memory."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._out: dict[_Day, dict[Arm, Amount]] = defaultdict(dict)

    def lease(self, asked: Sequence[LeaseRequest]) -> list[int]:
        """See the port."""
        units = []
        with self._lock:
            for one in asked:
                out = self._out[one.policy, one.day, one.line.name]
                of_arm = out.get(one.arm, Amount(0, 0))
                of_all = Amount(
                    sum(amount.uses for amount in out.values()), sum(amount.money for amount in out.values())
                )
                number = granted(one.units, one.held, one.line, of_arm, of_all)
                out[one.arm] = _more(of_arm, one.line.unit, number)
                units.append(number)
        return units

    def give_back(self, unspent: Sequence[Unspent]) -> None:
        """See the port."""
        with self._lock:
            for one in unspent:
                out = self._out[one.policy, one.day, one.name]
                out[one.arm] = _more(out[one.arm], one.unit, -one.units)

    def leased(self, policy: PolicyName, day: date) -> dict[tuple[InterventionId, Arm], Amount]:
        """See the port."""
        with self._lock:
            return {
                (name, arm): amount
                for (of_policy, of_day, name), out in self._out.items()
                for arm, amount in out.items()
                if (of_policy, of_day) == (policy, day)
            }

    def prune(self, before: date) -> None:
        """See the port."""
        with self._lock:
            for key in [key for key in self._out if key[1] < before]:
                del self._out[key]


def _more(amount: Amount, unit: Amount, number: int) -> Amount:
    return Amount(amount.uses + number * unit.uses, amount.money + number * unit.money)


class MemoryPermits:
    """Permits in memory.

    Args:
        rows: The decision log's.
    """

    def __init__(self, lock: threading.RLock, rows: Mapping[DecisionId, Decision]) -> None:
        self._lock = lock
        self._rows = rows
        self._out: dict[DecisionId, tuple[PermitRequest, Use]] = {}

    def take(self, asked: Sequence[PermitRequest]) -> list[dict[InterventionId, str]]:
        """See the port."""
        refused = []
        with self._lock:
            for one in asked:
                found = one.caps.withheld(self._uses(one), one.at)
                refused.append({name: words for name, words in found.items() if name in one.wanted})
                left = tuple(sorted(one.wanted - found.keys()))
                if left and one.keep:
                    self._out[one.decision_id] = (one, Use(one.at, left))
        return refused

    def release(self, decisions: Sequence[DecisionId]) -> None:
        """See the port."""
        with self._lock:
            for name in decisions:
                self._out.pop(name, None)

    def forget_shopper(self, subject: bytes, until: datetime) -> dict[str, int]:
        """See the port."""
        with self._lock:
            gone = [name for name, (one, _) in self._out.items() if one.subject == subject and one.at <= until]
            self.release(gone)
            return {"permits": len(gone)}

    def prune(self, now: datetime) -> None:
        """See the port."""
        with self._lock:
            ended = [name for name, (one, _) in self._out.items() if one.at + one.caps.longest < now]
            self.release([*ended, *[name for name in self._out if name in self._rows]])

    def _uses(self, asked: PermitRequest) -> list[Use]:
        had = [
            Use(row.decided_at, (row.intervention,))
            for row in self._rows.values()
            if (row.policy, row.subject) == (asked.policy, asked.subject) and row.intervention != HOLD
        ]
        out = [
            use
            for name, (one, use) in self._out.items()
            if (one.policy, one.subject) == (asked.policy, asked.subject)
            and name != asked.decision_id
            and name not in self._rows
        ]
        return had + out
