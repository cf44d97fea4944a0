"""A manifest's [gate] as the rule that a promotion is held against."""

from cxi_bandit.domain.gate import BetUnit, GateRule
from cxi_bandit.domain.gate import Guardrail as HarmBound
from cxi_bandit.policy.manifest import Manifest, Metric
from cxi_bandit.policy.release_rules import Guardrail


def gate_rule(manifest: Manifest) -> GateRule:
    """What a candidate must show to take the place of a policy with this manifest.

    Ask the manifest that is live: a candidate must not bring its own, lower bar.

    Raises:
        InvalidInput: Two keys contradict each other; the pointer is the key within [gate]. A parsed manifest has none.
    """
    gate = manifest.gate
    return GateRule(
        alpha=gate.alpha,
        minimum_improvement=gate.minimum_improvement,
        weight_cap=gate.weight_cap,
        minimum_days=gate.minimum_days,
        unit=BetUnit(gate.unit),
        window_days=gate.window_days,
        decisions_per_unit=gate.decisions_per_unit,
        guardrails=tuple(
            _bound(guardrail, manifest.reward.metrics[guardrail.metric])
            for guardrail in gate.guardrails
            if guardrail.metric in manifest.reward.metrics
        ),
    )


def _bound(guardrail: Guardrail, metric: Metric) -> HarmBound:
    return HarmBound(
        metric=guardrail.metric,
        margin=guardrail.margin,
        low=metric.min if guardrail.min is None else guardrail.min,
        high=metric.max if guardrail.max is None else guardrail.max,
    )
