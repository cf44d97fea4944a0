"""The course of a candidate: learned, weighed week by week, approved when the gate says go, and watched to its end."""

import math
from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.engine.ports import FiledReport
from simulator.lifecycle.shop import Met, Shop

A_WEEK: Final = 7.0
_CLOSING: Final = 0.3
"""Days until the last windows of a week have closed, and the pass after that."""


def weighed_weekly(shop: Shop, model: ModelVersion, weeks: int) -> FiledReport:
    """The gate's sittings about a model, one a week, until it does not say wait or the weeks are over."""
    shop.open(_CLOSING)
    for _ in range(weeks):
        shop.open(A_WEEK)
        filed = shop.weighed(model)
        if filed.report.verdict.decision is not Ruling.WAIT:
            break
    return filed


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate cost, by the world's own expected rewards.

    Attributes:
        decisions: Made while it was there, in whatever arm.
        answered: Of these, its own.
        lost: Expected reward given up by its own, against the vector logged beside: in the reward's unit.
    """

    decisions: int
    answered: int
    lost: float


def harm(shop: Shop, since: int, arm: Arm, beside: Arm) -> Harm:
    """Of the decisions from number `since` on: what answering as `arm` gave up against `beside`."""
    met = shop.met[since:]
    losses = [loss for one in met if (loss := _loss(shop, one, arm, beside)) is not None]
    return Harm(decisions=len(met), answered=len(losses), lost=math.fsum(losses))


def _loss(shop: Shop, one: Met, arm: Arm, beside: Arm) -> float | None:
    assignment = one.decision.assignment
    if assignment is None or assignment.arm is not arm:
        return None
    other = next((each for each in assignment.beside if each.place == beside.value), None)
    if other is None:
        return None
    expected = dict(zip(shop.manifest.catalogue, one.encounter.expected.tolist(), strict=True))
    eligible = one.decision.situation.eligible
    return math.fsum(
        expected[name] * (instead - own)
        for name, own, instead in zip(eligible, one.decision.probabilities, other.probabilities, strict=True)
    )


def watched(shop: Shop, promotion: Promotion, days: float) -> Promotion:
    """The canary, until the watch has ended it or the days are over."""
    shop.open(days, lambda: shop.promotion(promotion).step.ended)
    return shop.promotion(promotion)
