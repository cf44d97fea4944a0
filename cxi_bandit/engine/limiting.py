"""Limiting: what budgets and caps leave of the interventions before one is drawn, and what the draw spends of them.

Nothing here looks at what was drawn: which interventions are eligible is settled first, and the vector that is logged
is the policy's own over those. So a decision is executed again from its row, whatever was left of the budgets.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Final, NamedTuple, Protocol

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD, Decision, DecisionRequest, Situation
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.decide import Admitted, Distribution, ServedPolicy
from cxi_bandit.policy.arms import parts
from cxi_bandit.policy.budgets import EXPLORING, Day, Line, day_around, day_of, lines, price
from cxi_bandit.policy.caps import Caps
from cxi_bandit.policy.eligibility import NOTHING_WITHHELD, EligibleSet, Withheld, less


class Account(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What a lease is for. Another price makes another account: a unit of it is another amount of money.

    Every decision looks several of them up, so each keeps its hash.
    """

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


class LineOf(NamedTuple):
    """A line with how to find its account on a day."""

    line: Line
    policy: PolicyName
    arm: Arm
    time_zone: str

    def account(self, at: datetime) -> Account:
        """The account that a decision made at a moment is paid from."""
        return self.account_on(day_of(at, self.time_zone))

    def account_on(self, day: date) -> Account:
        """That of a day."""
        return Account(self.policy, self.arm, self.line.name, self.line.unit.money, day)


class _Budget(NamedTuple):
    """An account on one day, the least that must be left of it, and the words where that is not."""

    account: Account
    least: int
    words: str


class Allowance:
    """What a version may draw and spend in an arm on one day, with every account laid out.

    Attributes:
        day: For which it is; None for any.
    """

    def __init__(
        self,
        day: Day | None = None,
        lines: Iterable[LineOf] = (),
        prices: Mapping[InterventionId, int] | None = None,
        caps: Caps | None = None,
    ) -> None:
        self.day = day
        self._caps = caps
        self._prices = prices or {}
        budgets = {
            one.line.name: _Budget(one.account_on(day.date), one.line.least, one.line.words)
            for one in lines
            if day is not None
        }
        self._exploring = budgets.pop(EXPLORING, None)
        self._budgets = [(name, *budget) for name, budget in budgets.items()]
        self._uses = {name: Spending(budget.account, 1) for name, budget in budgets.items()}

    def withheld(self, request: DecisionRequest, bounds: Bounds | None) -> Withheld:
        """What may not be drawn."""
        if bounds is None:
            return NOTHING_WITHHELD
        found: dict[InterventionId, str] = {}
        caps, left = self._caps, bounds.leases.left
        if caps is not None:
            if request.subject is None:
                found.update(caps.unknown)
            elif not caps.about <= bounds.permitted:
                found.update(caps.unpermitted(bounds.permitted, bounds.refused))
        for name, account, least, words in self._budgets:
            if left(account) < least:
                found.setdefault(name, words)
        return found

    def scarce(self, bounds: Bounds | None) -> bool:
        """Whether something may cost more to explore than is left for exploring."""
        exploring = self._exploring
        return bounds is not None and exploring is not None and bounds.leases.left(exploring.account) < exploring.least

    def affordable(
        self, draw_from: Callable[[Situation], Distribution], admitted: Admitted, bounds: Bounds | None
    ) -> tuple[Admitted, Distribution]:
        """What may be drawn within the cost of exploring, and the vector over that.

        An intervention that is not the most probable one and costs more than is left is withheld, and the rest scored
        again, until what is most probable stays so: then all others that cost something are paid for.
        """
        drawn = draw_from(admitted.situation)
        exploring = self._exploring
        if bounds is None or exploring is None:
            return admitted, drawn
        left, prices = bounds.leases.left(exploring.account), self._prices
        while True:
            eligible = admitted.situation.eligible
            first = most_probable(eligible, drawn.probabilities)
            dear = {name: exploring.words for name in eligible if name not in (first, HOLD) and prices[name] > left}
            if not dear:
                return admitted, drawn
            admitted = without(admitted, dear)
            drawn = draw_from(admitted.situation)

    def spendings(self, decision: Decision, *, drawn: bool) -> tuple[Spending, ...]:
        """What a decision costs.

        Args:
            drawn: Whether the policy drew it; what a person chose was not explored.
        """
        chosen, exploring = decision.intervention, self._exploring
        if chosen == HOLD:
            return ()
        use = self._uses.get(chosen)
        own = () if use is None else (use,)
        if not drawn or exploring is None or not (cost := self._prices[chosen]):
            return own
        if chosen == most_probable(decision.situation.eligible, decision.probabilities):
            return own
        return (*own, Spending(exploring.account, cost))


_NO_ALLOWANCE: Final = Allowance()


class Limiting:
    """A roll-out's budgets and caps, laid out by arm and version once, and their accounts once a day."""

    def __init__(self, rollout: Rollout, served: Iterable[ServedPolicy]) -> None:
        policies = list(served)
        self._prices = {
            one.version.version: {name: price(one.manifest, name) for name in one.manifest.catalogue}
            for one in policies
        }
        self._lines = {
            (arm, one.version.version): [
                LineOf(line, rollout.policy, arm, one.manifest.limits.time_zone)
                for line in lines(one.manifest, part).values()
            ]
            for arm, part in parts(rollout).items()
            for one in policies
        }
        self._allowances: dict[tuple[Arm, int], Allowance] = {}
        self.capped = any(one.caps is not None for one in policies)
        self.limited = self.capped or any(self._lines.values())

    def lines(self, answering: Mapping[Arm, Iterable[int]]) -> list[LineOf]:
        """The lines that versions answering for arms spend from."""
        return [line for arm, versions in answering.items() for number in versions for line in self._lines[arm, number]]

    def allowance(self, arm: Arm, served: ServedPolicy, at: datetime) -> Allowance:
        """What an arm may draw and spend on the day of a moment. Who is left alone spends nothing."""
        if not self.limited or arm is Arm.HOLD:
            return _NO_ALLOWANCE
        key = (arm, served.version.version)
        known = self._allowances.get(key)
        if known is None or (known.day is not None and not known.day.begins <= at < known.day.ends):
            of_arm = self._lines[key]
            day = day_around(at, served.manifest.limits.time_zone) if of_arm else None
            known = self._allowances[key] = Allowance(day, of_arm, self._prices[served.version.version], served.caps)
        return known


def most_probable(eligible: tuple[InterventionId, ...], probabilities: tuple[float, ...]) -> InterventionId:
    """Of equals the first in the manifest's order."""
    return eligible[probabilities.index(max(probabilities))]


def without(admitted: Admitted, withheld: Withheld) -> Admitted:
    """The same request with less to draw."""
    if not withheld:
        return admitted
    situation = admitted.situation
    left = less(EligibleSet(situation.eligible, admitted.excluded), withheld)
    return admitted._replace(
        situation=Situation(
            defect=situation.defect, context=situation.context, eligible=left.eligible, offered=situation.offered
        ),
        excluded=left.excluded,
    )
