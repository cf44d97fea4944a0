"""The cases of the lifecycle, one run each: what should go live, what should not, what must be taken back."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.domain.gate import Reason, RefusedByGate, Ruling, Verdict
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.promotion import Promotion, Step
from cxi_bandit.engine.ports import FiledReport
from simulator.lifecycle.bound import stated
from simulator.lifecycle.course import Harm, harm, watched, weighed_weekly
from simulator.lifecycle.shop import Calendar, Shop
from simulator.lifecycle.terms import KEEN, terms
from simulator.world.scenarios import PLACEBO, TURNED, Scenario

WEEKS: Final = 4
_LEARNED_DAYS: Final = 8.0
_CANARY_DAYS: Final = 28.0
_BUSY: Final = Calendar(decisions=700)
_QUIET: Final = Calendar(decisions=300, passes=4)


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How one run ended.

    Attributes:
        ruling: The gate's, offline.
        step: Of the promotion in the end; None where none was filed.
        code: Of what the watch did last; empty where it did nothing.
        harm: What the candidate cost since the world changed, or since its canary began.
        bound: Decisions within which it is to be taken back; None where it is not.
    """

    seed: int
    ruling: Ruling
    step: Step | None
    code: str = ""
    harm: Harm | None = None
    bound: int | None = None


class NotAsMeant(CxiBanditError):
    """A run that did not come to where its case begins."""


class Case(Protocol):
    """One run of a case."""

    def __call__(self, seed: int) -> Ending:
        """Walks it."""
        ...


def better(seed: int) -> Ending:
    """What was learned is better than the cold start: it goes live by itself."""
    shop, model, filed = _weighed(seed, KEEN, KEEN)
    if filed.report.verdict.decision is not Ruling.GO:
        return Ending(seed=seed, ruling=filed.report.verdict.decision, step=None)
    promotion = shop.approved(shop.proposed(model, filed.evaluation_id))
    begun = len(shop.met)
    ended = watched(shop, promotion, _CANARY_DAYS)
    return _ending(shop, filed, ended, harm(shop, begun, Arm.CANARY, Arm.LIVE))


def worse(seed: int) -> Ending:
    """It was learned in a world that is no more, and is worse than the cold start: nobody can promote it."""
    shop, model, filed = _weighed(seed, TURNED, KEEN, weeks=2)
    try:
        promotion = shop.proposed(model, filed.evaluation_id)
    except RefusedByGate as refused:
        return Ending(seed=seed, ruling=refused.decision, step=None)
    return Ending(seed=seed, ruling=filed.report.verdict.decision, step=promotion.step)


def spoilt_in_canary(seed: int) -> Ending:
    """It was better, and the world changes as its canary begins: the canary is ended."""
    shop, filed, promotion = _in_canary(seed)
    shop.becomes(TURNED)
    changed, share = len(shop.met), shop.share_of_canary
    ended = watched(shop, promotion, _CANARY_DAYS)
    cost = harm(shop, changed, Arm.CANARY, Arm.LIVE)
    return _ending(shop, filed, ended, cost, stated(shop, changed, Arm.CANARY, Arm.LIVE, share))


def spoilt_when_live(seed: int) -> Ending:
    """It was better and went live, and then the world changes: what was live before is live again."""
    shop, filed, promotion = _in_canary(seed)
    if watched(shop, promotion, _CANARY_DAYS).step is not Step.LIVE:
        raise NotAsMeant(f"seed {seed}: the canary did not go live")
    shop.becomes(TURNED)
    changed, revision = len(shop.met), shop.rollout.revision
    shop.open(_CANARY_DAYS, lambda: shop.rollout.revision > revision)
    cost = harm(shop, changed, Arm.LIVE, Arm.PREVIOUS)
    bound = stated(shop, changed, Arm.LIVE, Arm.PREVIOUS, shop.manifest.rollout.previous_share)
    return _ending(shop, filed, shop.promotion(promotion), cost, bound)


def no_change(seed: int) -> Ending:
    """Nothing that is done does anything. The canary is tried as well, as if the gate had been passed by luck."""
    shop = Shop(terms(free=True), seed, PLACEBO, _QUIET)
    shop.open(2.0)
    model = shop.learned()
    filed = weighed_weekly(shop, model, 2)
    promotion = shop.approved(shop.proposed(model, _by_luck(shop, filed)))
    begun = len(shop.met)
    ended = watched(shop, promotion, _CANARY_DAYS / 2.0)
    return _ending(shop, filed, ended, harm(shop, begun, Arm.CANARY, Arm.LIVE))


CASES: Final[Mapping[str, Case]] = {
    "better": better,
    "worse": worse,
    "spoilt_in_canary": spoilt_in_canary,
    "spoilt_when_live": spoilt_when_live,
    "no_change": no_change,
}


class _Weighed(NamedTuple):
    shop: Shop
    model: ModelVersion
    filed: FiledReport


def _weighed(seed: int, learned: Scenario, met: Scenario, weeks: int = WEEKS) -> _Weighed:
    shop = Shop(terms(), seed, learned, _BUSY)
    shop.open(_LEARNED_DAYS)
    model = shop.learned()
    shop.becomes(met)
    return _Weighed(shop, model, weighed_weekly(shop, model, weeks))


def _in_canary(seed: int) -> tuple[Shop, FiledReport, Promotion]:
    shop, model, filed = _weighed(seed, KEEN, KEEN)
    if filed.report.verdict.decision is not Ruling.GO:
        raise NotAsMeant(f"seed {seed}: the gate said {filed.report.verdict.decision.value}")
    return shop, filed, shop.approved(shop.proposed(model, filed.evaluation_id))


def _by_luck(shop: Shop, filed: FiledReport) -> int:
    """The same report, saying go."""
    verdict = Verdict(decision=Ruling.GO, reasons=(Reason("luck", "as if"),), incumbent=filed.report.verdict.incumbent)
    return shop.ports.evaluations.save(
        msgspec.structs.replace(filed.report, verdict=verdict),
        policy=filed.policy,
        manifest_sha=filed.manifest_sha,
        model_version=filed.model_version,
        at=shop.now,
    )


def _ending(shop: Shop, filed: FiledReport, ended: Promotion, cost: Harm, bound: int | None = None) -> Ending:
    return Ending(
        seed=shop.seed,
        ruling=filed.report.verdict.decision,
        step=ended.step,
        code=shop.acts[-1].code if shop.acts else "",
        harm=cost,
        bound=bound,
    )
