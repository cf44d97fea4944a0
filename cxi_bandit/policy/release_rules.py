"""What a manifest declares about releases: the evidence that a promotion needs, and how it comes to the shoppers."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cxi_bandit.policy.key_types import Name


class Guardrail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric of which more is worse, and by how much it may grow.

    Attributes:
        margin: On the metric scaled to [0, 1] by its range; there is no default, as zero growth can never be shown.
        min: Least value; None takes the metric's own.
        max: Greatest value; None takes the metric's own. A sum over events needs one.
    """

    metric: Name
    margin: Annotated[float, Meta(gt=0.0, lt=1.0)]
    min: float | None = None
    max: float | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What evidence a promotion needs.

    Attributes:
        unit: What one bet is placed on: a shopper's first decision, or the first ones within `window_days`.
        window_days: Days from a shopper's first decision; 0 for `first_decision`.
        decisions_per_unit: How many decisions of a shopper count; 1 for `first_decision`.
    """

    alpha: Annotated[float, Meta(gt=0, lt=0.5)] = 0.05
    minimum_improvement: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    weight_cap: Annotated[float, Meta(gt=1.0)] = 20.0
    minimum_days: Annotated[int, Meta(ge=7)] = 7
    unit: Literal["first_decision", "shopper_window"] = "first_decision"
    window_days: Annotated[float, Meta(ge=0.0, le=90.0)] = 0.0
    decisions_per_unit: Annotated[int, Meta(ge=1)] = 1
    guardrails: tuple[Guardrail, ...] = ()
    approvals: Annotated[int, Meta(ge=1, le=2)] = 1


class Bound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A harm whose mean must not exceed a bound, or who answers is taken back.

    Attributes:
        metric: One of the reward's, or `cost`: what the chosen intervention costs by the catalogue.
        bound: On the mean of a decision, in the metric's own unit.
        min: Least value; None takes the metric's own, 0 for `cost`.
        max: Greatest value; None takes the metric's own, the catalogue's dearest for `cost`. Greater ones count as it.
    """

    metric: Name
    bound: float
    min: float | None = None
    max: float | None = None


LEAST_ROTATION_DAYS: Final = 1 / 24


class RolloutRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a promotion of this policy comes to the shoppers, and who is kept from it for comparison.

    Attributes:
        hold_share: Share of the shoppers who are always left alone; 0 for none.
        hold_rotation_days: After so many days other shoppers are, an hour at the least; 0 for never.
        previous_share: Share of the others whom the policy replaced by a promotion goes on answering; 0 for none.
        canary_shares: The canary's share, step by step.
        canary_hours: Least length of a step.
        canary_shoppers: Least number of the canary's shoppers who were first exposed within a step.
        canary_window_hours: How long from a shopper's first exposure rewards count; None takes the reward's horizon.
        canary_reward_cap: Most reward of a shopper within that window, in the reward's own unit, that counts.
        alarm_at: c: the mean number of shoppers until a false alarm of a watch is at least this.
        maximum_shift: Most total variation by which a published model may move the probabilities of the golden
            situations; None for no bound.
        guardrails: Harms that are watched in the canary and in what is live, each by itself.
        apprentice: A first version imitates the baseline that callers send until a promotion lets it go.
    """

    hold_share: Annotated[float, Meta(ge=0.0, le=0.2)] = 0.0
    hold_rotation_days: Annotated[float, Meta(ge=0.0, le=3650.0)] = 91.0
    previous_share: Annotated[float, Meta(ge=0.0, le=0.2)] = 0.03
    canary_shares: tuple[Annotated[float, Meta(gt=0.0, le=0.5)], ...] = (0.05, 0.2)
    canary_hours: Annotated[float, Meta(ge=0.0, le=2160.0)] = 24.0
    canary_shoppers: Annotated[int, Meta(ge=1)] = 500
    canary_window_hours: Annotated[float, Meta(gt=0.0, le=2160.0)] | None = None
    canary_reward_cap: Annotated[float, Meta(gt=0.0)] | None = None
    alarm_at: Annotated[float, Meta(gt=1.0)] = 100_000.0
    maximum_shift: Annotated[float, Meta(gt=0.0, le=1.0)] | None = None
    guardrails: tuple[Bound, ...] = ()
    apprentice: bool = False
