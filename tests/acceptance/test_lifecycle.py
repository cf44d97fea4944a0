"""From candidate to live, safely: the whole way, by the engine's own verbs, in a shop whose truth is known.

One run each; how often each ends so is the business of `simulator.studies.promotion_study` and its page.
"""

import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.gate import RefusedByGate, Ruling
from cxi_bandit.domain.promotion import Step
from cxi_bandit.domain.rollout import Stand
from cxi_bandit.engine.override import halt, lift
from cxi_bandit.engine.shadow import shadow
from simulator.lifecycle import KEEN, Calendar, Shop, harm, terms, watched, weighed_weekly
from simulator.lifecycle.cases import spoilt_in_canary, spoilt_when_live, worse

SEED = 1


def test_a_better_candidate_goes_from_proposal_through_shadow_and_canary_to_live() -> None:
    shop = Shop(terms(), SEED, KEEN, Calendar(decisions=700))
    shop.open(8)
    model = shop.learned()
    shadow(shop.policy, 1, model, "ann", shop.ports, shop.now)
    shop.engine.turn(shop.now, learning=False)
    filed = weighed_weekly(shop, model, 4)
    beside = [one.decision.assignment.beside for one in shop.met[-700:] if one.decision.assignment is not None]
    assert len(beside) == 700
    assert {(other.place, other.model_version) for others in beside for other in others} == {("shadow", model)}

    assert filed.report.verdict.decision is Ruling.GO
    approved = shop.approved(shop.proposed(model, filed.evaluation_id))
    assert (approved.step, shop.rollout.shadow) == (Step.CANARY, ())
    begun = len(shop.met)
    ended = watched(shop, approved, 28)
    assert (ended.step, shop.rollout.live) == (Step.LIVE, Stand(version=1, model=model))
    assert [act.code for act in shop.acts] == ["step_over", "canary_better"]
    assert shop.trail() == [
        "install",
        "shadow put",
        "promotion propose",
        "promotion approve",
        "promotion step",
        "promotion live",
    ]
    last = shop.ports.registry.trail(shop.policy)[-1]
    assert last.actor == "watch"
    assert float(last.detail["canary_better.log_e"]) >= float(last.detail["canary_better.log_threshold"])
    # By the world's own truth: the canary's shoppers were better off.
    assert harm(shop, begun, Arm.CANARY, Arm.LIVE).lost < 0.0

    halted = halt(shop.policy, "eve", "stocktaking", shop.ports.releases, shop.now)
    shop.engine.turn(shop.now, learning=False)
    shop.open(0.25)
    lift(halted.override_id, "eve", shop.ports.releases, shop.now)
    shop.engine.turn(shop.now, learning=False)
    assert {one.decision.intervention for one in shop.met[-100:]} == {"hold"}
    shop.open(0.25)
    assert len({one.decision.intervention for one in shop.met[-100:]}) > 1


def test_a_worse_candidate_is_refused_offline() -> None:
    ending = worse(SEED)
    assert ending.ruling is not Ruling.GO
    assert ending.step is None


def test_an_apprentice_is_tried_as_what_it_imitates() -> None:
    shop = Shop(f"{terms()}apprentice = true\n", SEED, KEEN, Calendar(decisions=150))
    shop.open(8)
    model = shop.learned()
    shop.open(8)
    verdict = shop.weighed(model).report.verdict
    assert verdict.incumbent.endswith("an apprentice")
    assert {reason.code for reason in verdict.reasons}.isdisjoint({"incumbent_rescored", "baseline_unknown"})


def test_without_a_passing_report_nobody_is_answered_by_it_whoever_asks() -> None:
    shop = Shop(terms(), SEED, KEEN, Calendar(decisions=300))
    shop.open(3)
    model = shop.learned()
    filed = shop.weighed(model)
    assert filed.report.verdict.decision is not Ruling.GO
    with pytest.raises(RefusedByGate):
        shop.proposed(model, filed.evaluation_id)
    assert shop.trail() == ["install", "promotion turned down"]
    assert shop.rollout.revision == 1


@pytest.mark.parametrize(
    ("case", "code"), [(spoilt_in_canary, "canary_worse"), (spoilt_when_live, "live_worse")], ids=["canary", "live"]
)
def test_what_becomes_harmful_is_taken_back_within_the_stated_number_of_decisions(case, code) -> None:
    ending = case(SEED)
    assert (ending.step, ending.code) == (Step.ROLLED_BACK, code)
    assert ending.harm.lost > 0.0
    assert ending.harm.decisions <= ending.bound
