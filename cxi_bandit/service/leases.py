"""Leases: what this worker may spend of the budgets without asking anybody, and the thread that sees to more of it."""

import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Final, NamedTuple

from structlog.typing import FilteringBoundLogger

from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.engine.limiting import Account, LineOf, Spending
from cxi_bandit.engine.ports import Budgets, Clock, LeaseRequest, Unspent
from cxi_bandit.engine.serve import Serving
from cxi_bandit.policy.budgets import EXPLORING
from cxi_bandit.telemetry.metrics import Metrics

_LOOK_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.002
"""Between two looks: however fast it is spent, the database is asked so seldom."""
_AHEAD_SECONDS: Final = 2.0
"""A lease covers what is spent in so long at the recent rate."""
_FORGET_SECONDS: Final = 5.0
"""In so long half of a past rate is forgotten."""
_TOMORROW: Final = timedelta(seconds=30)
_YESTERDAY: Final = timedelta(seconds=5)
"""A day's leases are there so long before it begins, and go back so long after its end."""
_MICROS: Final = 1e6


class _Lease:
    """Units of one account."""

    __slots__ = ("left", "rate", "seconds", "spent")

    def __init__(self) -> None:
        self.left = 0
        self.spent = 0
        self.seconds = 0.0
        self.rate = 0.0


class _Wanted(NamedTuple):
    line: LineOf
    lease: _Lease


class WorkerLeases:
    """Spends on the event loop, renews in a thread; gives back what is too much, a past day's, or left at the end.

    A worker that is killed takes its leases along: so much of the day's budgets is never spent, and never more is.
    """

    def __init__(
        self, budgets: Budgets, serving: Serving, clock: Clock, log: FilteringBoundLogger, metrics: Metrics
    ) -> None:
        self._budgets = budgets
        self._serving = serving
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._lock = threading.Lock()
        self._leases: dict[Account, _Lease] = {}
        self._lines: dict[Account, LineOf] = {}
        self._looked_at = time.monotonic()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def left(self, account: Account) -> int:
        """The units that may still be spent, while `deciding` is held."""
        lease = self._leases.get(account)
        return 0 if lease is None else lease.left

    @property
    def deciding(self) -> threading.Lock:
        """Held from what is left to what is spent of it: meanwhile nothing is given back."""
        return self._lock

    def spend(self, spendings: Iterable[Spending]) -> None:
        """Takes what a decision costs and was found to be left, all of it while `deciding` is held."""
        for account, units in spendings:
            lease, line = self._leases[account], self._lines[account]
            lease.left -= units
            lease.spent += units
            if lease.left < line.line.least or 2 * lease.left < _target(line, lease):
                self._wake.set()

    def refund(self, spendings: Iterable[Spending]) -> None:
        """Puts back what a decision cost that is in no log, and never will be."""
        with self._lock:
            for account, units in spendings:
                # A lease that is gone, with its day or its version, takes nothing back.
                if account in self._leases:
                    self._leases[account].left += units

    def tell(self, spendings: Iterable[Spending]) -> None:
        """Counts what a decision cost that stands."""
        for account, units in spendings:
            money = units * account.unit_money / _MICROS
            self._metrics.budget_spent.labels(account.policy, _named(account)).inc(money)

    def start(self) -> None:
        """Leases what the first requests need, then goes on in the background."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Ends, and gives back what was not spent."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        with self._lock:
            unspent = [_unspent(account, self._lines[account], lease.left) for account, lease in self._leases.items()]
            self._leases, self._lines = {}, {}
        self._give_back(unspent)

    def look(self) -> None:
        """Renews what runs out and gives back what is too much. A database that is away leaves what is leased."""
        wanted = self._wanted()
        asked: list[LeaseRequest] = []
        leases: list[_Lease] = []
        unspent: list[Unspent] = []
        now = time.monotonic()
        with self._lock:
            passed, self._looked_at = now - self._looked_at, now
            gone = self._leases.keys() - wanted.keys()
            unspent += [_unspent(account, self._lines[account], self._leases[account].left) for account in gone]
            self._leases = {account: one.lease for account, one in wanted.items()}
            self._lines = {account: one.line for account, one in wanted.items()}
            for account, (line, lease) in wanted.items():
                _pass(lease, passed)
                units = _target(line, lease)
                if lease.left < units:
                    more, held = units - lease.left, lease.left
                    asked.append(LeaseRequest(account.policy, account.arm, account.day, line.line, more, held))
                    leases.append(lease)
                elif lease.left > 2 * units:
                    unspent.append(_unspent(account, line, lease.left - units))
                    lease.left = units
        self._give_back(unspent)
        if asked:
            self._lease(asked, leases)
        self._show()

    def _wanted(self) -> dict[Account, _Wanted]:
        """Every account that may be spent from now or soon, with its lease."""
        now = self._clock()
        found: dict[Account, _Wanted] = {}
        for rollout in self._serving.rollouts:
            for line in rollout.lines():
                for at in (now, now + _TOMORROW, now - _YESTERDAY):
                    account = line.account(at)
                    if account not in found:
                        found[account] = _Wanted(line, self._leases.get(account) or _Lease())
        return found

    def _lease(self, asked: list[LeaseRequest], leases: list[_Lease]) -> None:
        try:
            units = self._budgets.lease(asked)
        except CxiBanditError as error:
            if not self._away:
                self._log.warning("budgets_not_leased", reason=str(error), meaning="what is leased may be spent")
            self._away = True
            return
        self._away = False
        with self._lock:
            for lease, number in zip(leases, units, strict=True):
                lease.left += number

    def _give_back(self, unspent: Iterable[Unspent]) -> None:
        returned = [one for one in unspent if one.units]
        if not returned:
            return
        try:
            self._budgets.give_back(returned)
        except CxiBanditError as error:
            # Never again: it may have arrived, and twice given back would be spent twice.
            self._log.warning("leases_lost", reason=str(error), meaning="so much of a day's budgets is never spent")

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - a thread that ended would let every budget run dry
                self._log.exception("budgets_not_leased", reason=str(error))
            self._stopping.wait(_LOOK_SECONDS if self._away else _PAUSE_SECONDS)

    def _show(self) -> None:
        uses: dict[tuple[str, str], int] = {}
        exploring: dict[str, float] = {}
        for account, lease in self._leases.items():
            if account.name == EXPLORING:
                money = lease.left * account.unit_money / _MICROS
                exploring[account.policy] = exploring.get(account.policy, 0.0) + money
            else:
                key = (account.policy, account.name)
                uses[key] = uses.get(key, 0) + lease.left
        for labels, units in uses.items():
            self._metrics.uses_leased.labels(*labels).set(units)
        for policy, money in exploring.items():
            self._metrics.exploring_leased.labels(policy).set(money)


def _target(line: LineOf, lease: _Lease) -> int:
    return max(line.line.least, int(lease.rate * _AHEAD_SECONDS) + 1)


def _pass(lease: _Lease, seconds: float) -> None:
    """The highest rate of late: rising with every use, forgotten slowly, so that the next rush finds a lease.

    Over a second at least: two uses within a millisecond are no rush.
    """
    lease.seconds += seconds
    lease.rate = max(lease.spent / max(lease.seconds, 1.0), lease.rate * 0.5 ** (seconds / _FORGET_SECONDS))
    if lease.seconds >= 1.0:
        lease.spent, lease.seconds = 0, 0.0


def _unspent(account: Account, line: LineOf, units: int) -> Unspent:
    return Unspent(account.policy, account.arm, account.day, account.name, line.line.unit, units)


def _named(account: Account) -> str:
    return account.name if account.name != EXPLORING else "(exploring)"
