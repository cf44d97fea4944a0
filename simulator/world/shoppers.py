"""Who comes to the shop: segments nobody can see, and the traits that hint at them.

A shopper's segment is hidden. What a decision sees are traits drawn independently given the segment, so the
probability of each segment given the traits has a closed form, and with it every expectation of the world.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Ints = NDArray[np.int64]

DEVICES: Final = ("desktop", "mobile", "tablet", "app")
TIERS: Final = ("none", "silver", "gold")
MOST_VISITS: Final = 200


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A kind of shopper.

    Attributes:
        share: Of all shoppers; the shares sum to 1.
        taste: How readily it buys, added to the log-odds of an order.
        device: Probability of each of `DEVICES`.
        tier: Probability of each of `TIERS`.
        mean_visits: Of the geometric number of visits in thirty days.
    """

    name: str
    share: float
    taste: float
    device: tuple[float, float, float, float]
    tier: tuple[float, float, float]
    mean_visits: float


SEGMENTS: Final = (
    Segment(
        name="bargain_hunter",
        share=0.26,
        taste=-0.3,
        device=(0.30, 0.35, 0.10, 0.25),
        tier=(0.62, 0.30, 0.08),
        mean_visits=12.0,
    ),
    Segment(
        name="regular",
        share=0.22,
        taste=0.7,
        device=(0.22, 0.18, 0.10, 0.50),
        tier=(0.08, 0.34, 0.58),
        mean_visits=20.0,
    ),
    Segment(
        name="hurried",
        share=0.22,
        taste=0.1,
        device=(0.08, 0.70, 0.04, 0.18),
        tier=(0.57, 0.36, 0.07),
        mean_visits=6.0,
    ),
    Segment(
        name="researcher",
        share=0.16,
        taste=-0.2,
        device=(0.74, 0.08, 0.14, 0.04),
        tier=(0.66, 0.28, 0.06),
        mean_visits=9.0,
    ),
    Segment(
        name="newcomer",
        share=0.14,
        taste=-0.5,
        device=(0.40, 0.46, 0.10, 0.04),
        tier=(0.97, 0.02, 0.01),
        mean_visits=0.5,
    ),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Shoppers:
    """A population, one entry a shopper; traits stay with the shopper. All arrays have shape (n,) and hold codes."""

    segment: Ints
    device: Ints
    tier: Ints
    visits: Ints

    def __len__(self) -> int:
        return len(self.segment)

    def take(self, rows: Ints) -> "Shoppers":
        """The shoppers at `rows`, in that order, repeats allowed."""
        return Shoppers(
            segment=self.segment[rows], device=self.device[rows], tier=self.tier[rows], visits=self.visits[rows]
        )


def population(size: int, rng: np.random.Generator) -> Shoppers:
    """Draws `size` shoppers."""
    segment = _pick(np.tile([kind.share for kind in SEGMENTS], (size, 1)), rng)
    means = np.array([kind.mean_visits for kind in SEGMENTS])[segment]
    return Shoppers(
        segment=segment,
        device=_pick(np.array([kind.device for kind in SEGMENTS])[segment], rng),
        tier=_pick(np.array([kind.tier for kind in SEGMENTS])[segment], rng),
        visits=np.minimum(rng.geometric(1.0 / (1.0 + means)) - 1, MOST_VISITS),
    )


def segment_given_traits(shoppers: Shoppers) -> Float64s:
    """P(segment | device, tier, visits) by Bayes' rule, shape (n, segments): exact, also at the cap on visits."""
    columns = []
    for kind in SEGMENTS:
        stay = kind.mean_visits / (1.0 + kind.mean_visits)
        leave = np.where(shoppers.visits < MOST_VISITS, 1.0 - stay, 1.0)
        likelihood = np.array(kind.device)[shoppers.device] * np.array(kind.tier)[shoppers.tier]
        columns.append(kind.share * likelihood * leave * stay**shoppers.visits)
    joint = np.stack(columns, axis=1)
    posterior: Float64s = joint / joint.sum(axis=1, keepdims=True)
    return posterior


def _pick(probabilities: Float64s, rng: np.random.Generator) -> Ints:
    """One index per row, drawn with that row's probabilities."""
    reached = np.cumsum(probabilities, axis=1)
    u = rng.random(len(probabilities))[:, None] * reached[:, -1:]
    picked: Ints = (u >= reached).sum(axis=1)
    return picked
