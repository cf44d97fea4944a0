"""Whether decisions are discarded without a look at their intervention: a test that goes on for ever."""

import math
from typing import Final

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import InterventionId

ALARM: Final = 1000.0
"""Where a caller keeps its word, the e-value of a policy ever reaches this with probability 1/1000 at most (Ville)."""

_BOLDEST: Final = 4.0
"""No bet says that an intervention is discarded more than so many times as often, or as rarely, as others."""


class Discards(msgspec.Struct):
    """What has been discarded under one manifest, and the evidence that it depends on the intervention.

    Who discards without looking leaves the draw as it was: given the context and that the decision was discarded, its
    intervention still has the logged probabilities p. Each discarded decision is a bet against that. The bet's own
    probabilities are q(a) = p(a) w(a) / sum_b p(b) w(b), where w(a) compares how often a was discarded before with how
    often p said that it would be; the e-value is the product of q(a)/p(a) over the decisions, and under the null its
    expectation is 1 at every step, whatever the contexts are and however the policy changes.

    Attributes:
        log_e: The log of the e-value now.
        highest: The highest that it has been: once an alarm, always one.
        drawn: How often each intervention was the discarded one.
        expected: How often it would be expected to be.
    """

    log_e: float = 0.0
    highest: float = 0.0
    drawn: dict[InterventionId, int] = {}
    expected: dict[InterventionId, float] = {}

    @property
    def depend(self) -> bool:
        """Whether discarding has been found to depend on the intervention."""
        return self.highest >= math.log(ALARM)

    def add(self, discarded: Decision) -> None:
        """Takes one more discarded decision into account; one with nothing to choose says nothing."""
        chances = dict(zip(discarded.situation.eligible, discarded.probabilities, strict=True))
        chosen = discarded.intervention
        if discarded.propensity >= 1.0 or not chances.get(chosen):
            return
        weights = {name: self._weight(name) for name in chances}
        self.log_e += math.log(weights[chosen]) - math.log(math.fsum(chances[name] * weights[name] for name in chances))
        self.highest = max(self.highest, self.log_e)
        self.drawn[chosen] = self.drawn.get(chosen, 0) + 1
        for name, chance in chances.items():
            self.expected[name] = self.expected.get(name, 0.0) + chance

    def _weight(self, name: InterventionId) -> float:
        """By what came before alone; drawn towards 1 while there is little of it."""
        ratio = (self.drawn.get(name, 0) + 5.0) / (self.expected.get(name, 0.0) + 5.0)
        return min(max(ratio, 1.0 / _BOLDEST), _BOLDEST)
