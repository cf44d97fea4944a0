"""Limiting: what budgets and caps leave of the interventions before one is drawn, and what the draw spends of them.

Nothing here looks at what was drawn: which interventions are eligible is settled first, and the vector that is logged
is the policy's own over those. So a decision is executed again from its row, whatever was left of the budgets.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple, Protocol

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD, Decision, DecisionRequest, Situation
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.decide import Admitted, Distribution, ServedPolicy
from cxi_bandit.policy.arms import parts
from cxi_bandit.policy.budgets import EXPLORING, Line, day_of, lines, price
from cxi_bandit.policy.eligibility import NOTHING_WITHHELD, EligibleSet, Withheld, less


class Account(NamedTuple):
    """What a lease is for. Another price makes another account: a unit of it is another amount of money."""

    policy: PolicyName
    arm: Arm
    name: InterventionId
    unit_money: int
    day: date


class Spending(NamedTuple):
    """What a decision takes of an account."""

    account: Account
    units: int


class Leases(Protocol):
    """What this process may spend."""

    def left(self, account: Account) -> int:
        """The units left on lease now."""
        ...


class Bounds(NamedTuple):
    """What is left for one decision.

    Attributes:
        permitted: What the shopper's permit is for; of what caps are about nothing else may be drawn.
        refused: What the shopper's caps forbid, in their own words.
    """

    leases: Leases
    permitted: frozenset[InterventionId] = frozenset()
    refused: Withheld = NOTHING_WITHHELD


class _Dated(NamedTuple):
    """The lines of an arm and version on one day: of each its account, the least that must be left, and the words."""

    day: date
    accounts: list[tuple[InterventionId, Account, int, str]]


class LineOf(NamedTuple):
    """A line with how to find its account on a day."""

    line: Line
    policy: PolicyName
    arm: Arm
    time_zone: str

    def account(self, at: datetime) -> Account:
        """The account that a decision made at a moment is paid from."""
        return Account(self.policy, self.arm, self.line.name, self.line.unit.money, day_of(at, self.time_zone))


class Limiting:
    """A roll-out's budgets and caps, laid out by arm and version once."""

    def __init__(self, rollout: Rollout, served: Iterable[ServedPolicy]) -> None:
        policies = list(served)
        part_of = parts(rollout)
        self._prices = {
            one.version.version: {name: price(one.manifest, name) for name in one.manifest.catalogue}
            for one in policies
        }
        self._lines = {
            (arm, one.version.version): {
                name: LineOf(line, rollout.policy, arm, one.manifest.limits.time_zone)
                for name, line in lines(one.manifest, part).items()
            }
            for arm, part in part_of.items()
            for one in policies
        }
        self._zones = {one.version.version: one.manifest.limits.time_zone for one in policies}
        self._dated: dict[tuple[Arm, int], _Dated] = {}
        self.budgeted = any(self._lines.values())
        self.capped = any(one.caps is not None for one in policies)

    def lines(self, answering: Mapping[Arm, Iterable[int]]) -> list[LineOf]:
        """The lines that versions answering for arms spend from."""
        return [
            line
            for arm, versions in answering.items()
            for number in versions
            for line in self._lines[arm, number].values()
        ]

    def withheld(
        self, request: DecisionRequest, arm: Arm, served: ServedPolicy, bounds: Bounds | None, at: datetime
    ) -> Withheld:
        """What may not be drawn in an arm. Who is left alone spends nothing."""
        if bounds is None or arm is Arm.HOLD:
            return NOTHING_WITHHELD
        found: dict[InterventionId, str] = {}
        caps = served.caps
        if caps is not None:
            if request.subject is None:
                found.update(caps.unknown)
            else:
                found.update(caps.unpermitted(bounds.permitted, bounds.refused))
        for name, account, least, words in self._accounts(arm, served.version.version, at):
            if bounds.leases.left(account) < least:
                found.setdefault(name, words)
        return found

    def _accounts(self, arm: Arm, version: int, at: datetime) -> list[tuple[InterventionId, Account, int, str]]:
        """What an arm's interventions are paid from on the day of a moment; laid out once a day."""
        of_arm = self._lines[arm, version]
        if not of_arm:
            return []
        day = day_of(at, self._zones[version])
        dated = self._dated.get((arm, version))
        if dated is None or dated.day != day:
            accounts = [
                (name, line.account(at), line.line.least, line.line.words)
                for name, line in of_arm.items()
                if name != EXPLORING
            ]
            dated = self._dated[arm, version] = _Dated(day, accounts)
        return dated.accounts

    def affordable(
        self,
        draw_from: Callable[[Situation], Distribution],
        arm: Arm,
        served: ServedPolicy,
        admitted: Admitted,
        bounds: Bounds | None,
        at: datetime,
    ) -> tuple[Admitted, Distribution]:
        """What may be drawn within the cost of exploring, and the vector over that.

        An intervention that is not the most probable one and costs more than is left is withheld, and the rest scored
        again, until what is most probable stays so: then all others that cost something are paid for.
        """
        drawn = draw_from(admitted.situation)
        line = None if bounds is None else self._lines[arm, served.version.version].get(EXPLORING)
        if bounds is None or line is None:
            return admitted, drawn
        left = bounds.leases.left(line.account(at))
        prices = self._prices[served.version.version]
        while True:
            eligible = admitted.situation.eligible
            first = most_probable(eligible, drawn.probabilities)
            dear = {name: line.line.words for name in eligible if name not in (first, HOLD) and prices[name] > left}
            if not dear:
                return admitted, drawn
            admitted = without(admitted, dear)
            drawn = draw_from(admitted.situation)

    def spendings(self, decision: Decision, arm: Arm, served: ServedPolicy, *, drawn: bool) -> tuple[Spending, ...]:
        """What a decision costs.

        Args:
            drawn: Whether the policy drew it; what a person chose was not explored.
        """
        if arm is Arm.HOLD or decision.intervention == HOLD:
            return ()
        of_arm = self._lines[arm, served.version.version]
        cost = self._prices[served.version.version][decision.intervention]
        found = []
        if (own := of_arm.get(decision.intervention)) is not None:
            found.append(Spending(own.account(decision.decided_at), 1))
        exploring = of_arm.get(EXPLORING)
        explored = decision.intervention != most_probable(decision.situation.eligible, decision.probabilities)
        if drawn and explored and cost and exploring is not None:
            found.append(Spending(exploring.account(decision.decided_at), cost))
        return tuple(found)


def most_probable(eligible: tuple[InterventionId, ...], probabilities: tuple[float, ...]) -> InterventionId:
    """Of equals the first in the manifest's order."""
    return eligible[probabilities.index(max(probabilities))]


def without(admitted: Admitted, withheld: Withheld) -> Admitted:
    """The same request with less to draw."""
    situation = admitted.situation
    left = less(EligibleSet(situation.eligible, admitted.excluded), withheld)
    return admitted._replace(
        situation=Situation(
            defect=situation.defect, context=situation.context, eligible=left.eligible, offered=situation.offered
        ),
        excluded=left.excluded,
    )
