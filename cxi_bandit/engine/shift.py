"""Shift: how far a model that is about to be published moves the probabilities that shoppers meet."""

from collections.abc import Sequence

from cxi_bandit.domain.model import Lineage, Model
from cxi_bandit.policy.manifest import Manifest

Golden = tuple[tuple[float, ...], ...]
"""A model's vectors for the golden situations, in their order."""


def moves_little(head: Model, lineage: Lineage, golden: Golden, manifest: Manifest) -> bool:
    """Whether a model may follow `head` in one step.

    It may where nothing is bounded, where what is learned is served only once it is promoted, and as long as the cold
    start draws: before a model has learned enough nobody meets its probabilities.
    """
    bound = manifest.rollout.maximum_shift
    needed = manifest.exploration.cold_start.outcomes
    if bound is None or manifest.learning.updates != "continuous" or head.lineage.learned_total < needed:
        return True
    return lineage.learned == 0 or shift(head.golden, golden) <= bound


def shift(before: Golden, after: Golden) -> float:
    """Max over situations of the total variation ½ Σ_a |p(a) - q(a)|, in [0, 1]."""
    return max((_variation(p, q) for p, q in zip(before, after, strict=True)), default=0.0)


def _variation(before: Sequence[float], after: Sequence[float]) -> float:
    return sum(abs(p - q) for p, q in zip(before, after, strict=True)) / 2.0
