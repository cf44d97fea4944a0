"""Rank: which of several defects of one request are worth acting on, by what is known before anything is drawn."""

import math
from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import NamedTuple

from cxi_bandit.domain.decision import HOLD, DecisionRequest, Situation
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.engine.choose import ServedRollout
from cxi_bandit.engine.decide import ServedPolicy, admit
from cxi_bandit.engine.serve import Serving


class Prospect(NamedTuple):
    """What a model expects to gain by acting on a defect, in the reward's own unit.

    Attributes:
        benefit: Of the intervention it thinks best over `hold`, costs taken off.
        uncertainty: A standard error of that.
    """

    benefit: float
    uncertainty: float


class Ranked(NamedTuple):
    """A defect with its place: the first of a ranking is the one most worth acting on."""

    request: DecisionRequest
    routed: ServedRollout
    score: float
    prospect: Prospect | None


class Ranking(NamedTuple):
    """All defects of a request, best first, and how many of them are decided about."""

    ranked: list[Ranked]
    decided: int


def rank(requests: Sequence[DecisionRequest], serving: Serving) -> Ranking:
    """Ranks by severity x confidence x lower bound of the expected net benefit; equals stay in the order given.

    The bound is benefit less uncertainty. Where it is not positive, acting cannot be told from a loss: such defects
    come last, the lowest bound at the very end, and severity makes nothing better or worse. Where the live version of
    any one of them has no model to ask, there is nothing to compare with, and the bound is 1 for all.

    It is the live version that is asked, whatever arm the shopper is in: so all arms meet the same defects. Nothing
    here depends on what is drawn, before or after: each decision's propensity is the policy's own, given its rank.

    Args:
        requests: Of one shopper at one moment, each about another type of defect.

    Raises:
        InvalidInput: Names the field at fault by JSON pointer.
    """
    found = [_looked_at(request, index, serving) for index, request in enumerate(requests)]
    blind = any(prospect is None for _, _, prospect in found)
    ranked = [
        Ranked(request, routed, score(request, None if blind else prospect), prospect)
        for request, (routed, _, prospect) in zip(requests, found, strict=True)
    ]
    most = min(live.manifest.serving.interventions_per_request for _, live, _ in found)
    return Ranking(sorted(ranked, key=lambda one: -one.score), min(most, len(ranked)))


def score(request: DecisionRequest, prospect: Prospect | None) -> float:
    """See `rank`."""
    weight = request.defect.severity * request.defect.confidence
    if prospect is None:
        return weight
    bound = prospect.benefit - prospect.uncertainty
    return weight * bound if bound > 0.0 else bound


def prospect_of(served: ServedPolicy, situation: Situation) -> Prospect | None:
    """What acting is expected to gain; None where the version has no model that has learned enough.

    The explorer's own models tell how far they differ, where it has several. One model alone does not know how sure it
    is: then it is the most that the standard error of a mean of as many rewards as it has learned can be.
    """
    eligible = situation.eligible
    if len(eligible) == 1:
        return Prospect(0.0, 0.0)
    if served.scorer is None or served.model is None or not served.warm:
        return None
    vectors = served.scorer.estimates(situation)
    means = [fmean(of_one) for of_one in zip(*vectors, strict=True)]
    if not all(map(math.isfinite, means)):
        return None
    hold = eligible.index(HOLD)
    best = max((place for place in range(len(eligible)) if place != hold), key=means.__getitem__)
    if len(vectors) > 1:
        uncertainty = pstdev([vector[best] - vector[hold] for vector in vectors])
    else:
        reward = served.manifest.reward
        uncertainty = (reward.max - reward.min) / 2 / math.sqrt(served.model.lineage.learned_total)
    return Prospect(means[best] - means[hold], uncertainty)


def _looked_at(
    request: DecisionRequest, index: int, serving: Serving
) -> tuple[ServedRollout, ServedPolicy, Prospect | None]:
    try:
        routed = serving.rollout_for(request)
        live = routed.live_for(request.defect.type)
        situation = admit(request, live).situation
    except InvalidInput as error:
        # Decided about alone it is `/defect`; what is wrong elsewhere is wrong for all of them.
        raise InvalidInput(error.pointer.replace("/defect/", f"/defects/{index}/", 1), error.detail) from error
    return routed, live, prospect_of(live, situation)
