"""Explain: why a decision came out as it did, from its row, its model and its manifest, executed again on the spot."""

import math
from statistics import fmean, pstdev
from typing import Final

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.explanation import Explanation, Source, Weighed, Why
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.override import Override
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.decide import ServedPolicy, certain, preferred
from cxi_bandit.engine.ports import Releases, Scorer
from cxi_bandit.policy.explorers import RND, Bag, Cover, Explorer, RegCB

_SHOWN: Final = 10


def explain(decision: Decision, audit: DecisionAudit, releases: Releases) -> Explanation:
    """Executes a logged decision again, compares, and says what moved it, as far as its model can still be had."""
    finding = audit.audit(decision)
    served = audit.serving(decision)
    return Explanation(
        verdict=finding.verdict.value,
        probabilities=finding.probabilities,
        u=finding.u,
        override=_override(decision, releases),
        why=why(served, decision) if served is not None and finding.probabilities and _whole(decision) else None,
    )


def _whole(decision: Decision) -> bool:
    """Whether the row's own parts belong together: of one that was tampered with, nothing can be said but that."""
    eligible = decision.situation.eligible
    return decision.intervention in eligible and len(decision.probabilities) == len(eligible)


def why(served: ServedPolicy, decision: Decision) -> Why:
    """What a decision, logged or not, rests on. `served` is the version and model that answered it."""
    source = _source(decision)
    before = _before_floors(served, decision, source)
    floors = tuple(served.floors(decision.situation.eligible)) if source in _FLOORED else None
    scorer = served.scorer if source is Source.MODEL else None
    if scorer is None:
        return Why(source=source, before_floors=before, floors=floors)
    return Why(
        source=source,
        before_floors=before,
        floors=floors,
        reads=_reads(served.manifest.exploration.explorer),
        taken=_weighed(scorer, served, decision, decision.intervention),
        runner_up=_weighed(scorer, served, decision, _runner_up(decision)),
    )


_FLOORED: Final = (Source.MODEL, Source.COLD_START, Source.APPRENTICE)


def _source(decision: Decision) -> Source:
    assignment = decision.assignment
    if decision.override_id is not None:
        return Source.OVERRIDE
    if assignment is not None and assignment.arm is Arm.HOLD:
        return Source.HOLD_ARM
    if assignment is not None and assignment.baseline is not None:
        return Source.APPRENTICE
    if len(decision.situation.eligible) == 1:
        return Source.ONLY_HOLD
    return Source.COLD_START if decision.model_version is None else Source.MODEL


def _before_floors(served: ServedPolicy, decision: Decision, source: Source) -> tuple[float, ...] | None:
    eligible, assignment = decision.situation.eligible, decision.assignment
    if source is Source.APPRENTICE and assignment is not None and assignment.baseline is not None:
        return certain(eligible, assignment.baseline).probabilities
    if source in (Source.MODEL, Source.COLD_START):
        return tuple(preferred(served, decision.situation))
    return None


def _runner_up(decision: Decision) -> InterventionId:
    """The likeliest of the others, the first of them by the manifest's order."""
    others = [name for name in decision.situation.eligible if name != decision.intervention]
    likely = dict(zip(decision.situation.eligible, decision.probabilities, strict=True))
    return max(others, key=lambda name: likely[name])


def _weighed(scorer: Scorer, served: ServedPolicy, decision: Decision, intervention: InterventionId) -> Weighed:
    situation = decision.situation
    place = situation.eligible.index(intervention)
    found = [vector[place] for vector in scorer.estimates(situation)]
    contributions = scorer.contributions(situation, intervention)
    return Weighed(
        intervention=intervention,
        probability=decision.probabilities[place],
        expected=fmean(found),
        base=served.manifest.reward.min,
        contributions=list(contributions[:_SHOWN]),
        others=math.fsum(one.amount for one in contributions[_SHOWN:]),
        spread=pstdev(found) if len(found) > 1 else None,
    )


def _reads(explorer: Explorer) -> str:
    match explorer:
        case Bag():
            return f"the mean over the {explorer.models} models that vote"
        case Cover():
            return "the regression that the cover's policies start from; which of them votes how is not shown"
        case RND():
            return "the regression of the reward; the networks that find the unfamiliar are not shown"
        case RegCB():
            return "the regression; the optimism added to it, by how little is known, is not shown"
        case _:
            return "the one regression of the reward, from which the explorer makes its vector"


def _override(decision: Decision, releases: Releases) -> Override | None:
    if decision.override_id is None:
        return None
    kept = releases.overrides(standing=False)
    return next((one for one in kept if one.override_id == decision.override_id), None)
