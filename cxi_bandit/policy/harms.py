"""A manifest's [[rollout.guardrails]]: what harm is watched, over which range, and what a decision had of it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.release_rules import Bound

COST: Final = "cost"
"""The harm that nobody needs to report: what the chosen intervention costs by the catalogue."""


class Harm(NamedTuple):
    """A harm with its range and its bound, in its own unit. Both ends of the range are finite once parsed."""

    name: str
    low: float
    high: float
    bound: float

    @property
    def scaled_bound(self) -> float:
        """The bound on the harm scaled to [0, 1], in (0, 1)."""
        return (self.bound - self.low) / (self.high - self.low)

    def scaled(self, value: float) -> float:
        """A value on the harm's range as a number in [0, 1]; beyond the range it counts as its end."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


def harm(manifest: Manifest, guardrail: Bound) -> Harm | None:
    """What a guardrail is about; None where its metric is not known. A metric called `cost` is that metric."""
    metric = manifest.reward.metrics.get(guardrail.metric)
    if metric is not None:
        low, high = metric.min, metric.max
    elif guardrail.metric == COST:
        low, high = 0.0, max(intervention.cost for intervention in manifest.interventions)
    else:
        return None
    low = low if guardrail.min is None else guardrail.min
    high = high if guardrail.max is None else guardrail.max
    return Harm(guardrail.metric, low, high, guardrail.bound)


def harms(manifest: Manifest) -> tuple[Harm, ...]:
    """All that a manifest guards against."""
    found = (harm(manifest, guardrail) for guardrail in manifest.rollout.guardrails)
    return tuple(one for one in found if one is not None)


def suffered(harm: Harm, manifest: Manifest, metrics: Mapping[str, float], intervention: str) -> float:
    """How much of a harm a decision had, scaled to [0, 1]; what nobody reported is none.

    Args:
        manifest: The decision's own, whose catalogue has the intervention.
        metrics: The decision's aggregates as known at close.
    """
    if harm.name == COST and COST not in manifest.reward.metrics:
        cost = next((entry.cost for entry in manifest.interventions if entry.id == intervention), 0.0)
        return harm.scaled(cost)
    return harm.scaled(metrics.get(harm.name, 0.0))
