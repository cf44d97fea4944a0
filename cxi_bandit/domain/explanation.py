"""Explanations: what a decision rests on, in the words of its own model and rules."""

from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.override import Override


class Source(StrEnum):
    """Who gave the vector that was drawn from.

    `hold_arm`: the shopper is in the arm that is left alone. `only_hold`: nothing else was eligible.
    """

    MODEL = "model"
    COLD_START = "cold_start"
    APPRENTICE = "apprentice"
    HOLD_ARM = "hold_arm"
    OVERRIDE = "override"
    ONLY_HOLD = "only_hold"


class Contribution(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One feature's part in the reward that a model expects of an intervention, in the reward's own unit.

    Attributes:
        feature: As the model sees it; `a x b` is a product of features.
        value: Of the feature, numbers scaled to [0, 1].
        weight: What the feature adds at value 1.
        amount: weight x value.
    """

    feature: str
    value: float
    weight: float
    amount: float


class Weighed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a model expects of one intervention, and which features make it up.

    Attributes:
        expected: Reward, costs taken off; `base` and every contribution together.
        base: The least reward there is, from where contributions count.
        contributions: Those that moved it most, the largest first.
        others: What all further features add.
        spread: Standard deviation of `expected` over the explorer's models; None where one model alone regresses it.
    """

    intervention: InterventionId
    probability: float
    expected: float
    base: float
    contributions: list[Contribution]
    others: float
    spread: float | None = None


class Why(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a decision rests on. Vectors are in the order of its eligible set.

    Attributes:
        before_floors: The vector before the floors were mixed in; None where all probability is on one intervention by
            rule, and nothing was mixed.
        floors: The least probability of each; None as above.
        reads: Which part of the explorer's model `taken` and `runner_up` were read from; None where no model chose.
        taken: The intervention that was drawn.
        runner_up: The likeliest other one.
    """

    source: Source
    before_floors: tuple[float, ...] | None
    floors: tuple[float, ...] | None
    reads: str | None = None
    taken: Weighed | None = None
    runner_up: Weighed | None = None


class Explanation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A logged decision executed again, and what it rests on.

    Attributes:
        verdict: `identical` or `different` from what was logged, or why that cannot be told.
        probabilities: The vector as executed again.
        u: The uniform number as executed again.
        override: Of a person, where one chose.
        why: None where the model cannot be had.
    """

    verdict: str
    probabilities: tuple[float, ...] | None
    u: float | None
    override: Override | None
    why: Why | None
