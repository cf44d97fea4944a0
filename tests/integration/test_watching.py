"""Watching, end to end: the real engine, its log and its verbs, with shoppers whose tastes are known."""

import msgspec
import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.promotion import Step
from cxi_bandit.engine.watch_status import WatchStatus, status
from tests.harness.watched import CART, Shop, manifest

BETTER = {"hold": 0.1, "retry_coupon": 0.6}
"""Purchases when the coupon is tried again: 0.475 net of its cost, against 0.1."""

WORSE = {"hold": 0.4, "retry_coupon": 0.1}

BOLD = manifest(0.1)
SHY = manifest(0.9)


def up_to_live(shop: Shop) -> None:
    """Through both steps of the canary."""
    shop.promote(BOLD)
    for _ in range(3):
        shop.days(8000, BETTER)
        if shop.acts[-1].action == "go_live":
            return


def test_a_better_canary_goes_up_and_live_and_its_lift_is_as_it_was() -> None:
    shop = Shop(SHY, seed=1)
    up_to_live(shop)
    assert [act.action for act in shop.acts] == ["next_step", "go_live"]
    promotion = shop.ports.releases.promotion(1)
    assert promotion.step is Step.LIVE
    assert shop.rollout.live.version == 2
    trail = shop.ports.registry.trail(CART)
    step = next(line for line in trail if line.action == "promotion step")
    live = next(line for line in trail if line.action == "promotion live")
    assert {step.actor, live.actor} == {"watch"}
    assert float(live.detail["canary_better.log_e"]) >= float(live.detail["canary_better.log_threshold"])
    assert shop.days(1500, BETTER) == 1500, "nothing is taken back that is as good as it was"
    known = status(CART, shop.watch_ports)
    (line,) = known.lines
    assert line.watch == "live"
    assert line.alarms_per_year is not None
    assert line.alarms_per_year > 0
    (calibration,) = known.calibrations
    assert calibration.promotion_id == 1
    assert calibration.live.shoppers > 4 * calibration.previous.shoppers / 2
    assert calibration.lift_interval is not None
    assert calibration.lift_interval[0] < (0.9 - 0.1) * (0.6 - 0.125 - 0.1) < calibration.lift_interval[1]
    assert msgspec.json.decode(msgspec.json.encode(known), type=WatchStatus) == known


def test_a_harmful_canary_is_rolled_back_before_it_goes_up() -> None:
    shop = Shop(SHY, seed=2)
    shop.promote(BOLD)
    came = shop.days(6000, WORSE)
    assert [(act.action, act.code) for act in shop.acts] == [("roll_back", "canary_worse")]
    assert shop.ports.releases.promotion(1).step is Step.ROLLED_BACK
    assert shop.rollout.canary is None
    assert shop.rollout.live.version == 1
    assert shop.in_arm(Arm.CANARY) < 0.25 * came
    (line,) = [line for line in shop.ports.registry.trail(CART) if line.action == "rollback"]
    assert line.actor == "watch"
    assert line.detail["code"] == "canary_worse"
    assert "worse off" in line.detail["reason"]


def test_a_canary_that_loses_some_of_its_shoppers_is_rolled_back() -> None:
    shop = Shop(SHY, seed=3)
    shop.promote(BOLD)
    lost = iter([False, False, True] * 100_000)
    shop.days(6000, BETTER, kept=lambda one: one.assignment.arm is not Arm.CANARY or not next(lost))
    assert (shop.acts[0].action, shop.acts[0].code) == ("roll_back", "sample_ratio")


def test_what_went_live_and_then_does_harm_is_taken_back_and_a_running_canary_with_it() -> None:
    shop = Shop(SHY, seed=4)
    up_to_live(shop)
    shop.days(500, BETTER)
    shop.promote(manifest(0.5))
    shop.days(300, BETTER)
    came = shop.days(4000, WORSE, every=20)
    # By then the canary may have been found better than what does harm; what is live goes all the same.
    while shop.acts[-1].code != "live_worse":
        assert shop.acts[-1].action != "go_live"
        came += shop.days(4000, WORSE, every=20)
    assert came < 2000, "the harm is bounded by so many decisions"
    assert shop.rollout.live.version == 1
    assert shop.rollout.canary is None
    assert [shop.ports.releases.promotion(number).step for number in (1, 2)] == [Step.ROLLED_BACK, Step.ROLLED_BACK]
    assert shop.days(1000, WORSE) == 1000, "the older one is left in peace"


@pytest.mark.parametrize("alarmed", ["complaint", "cost"])
def test_a_guardrail_takes_a_canary_back_whatever_it_earns(alarmed: str) -> None:
    bound = {"complaint": 0.05, "cost": 0.0625}[alarmed]
    guard = f'[[rollout.guardrails]]\nmetric = "{alarmed}"\nbound = {bound}\n'
    shop = Shop(manifest(0.9, guard), seed=5)
    shop.promote(manifest(0.1, guard))
    # Nobody complains but whom the canary answered; and what the canary does most costs most.
    shop.days(6000, BETTER, complains=lambda one: 0.3 * (alarmed == "complaint" and one.policy_version == 2))
    assert [(act.action, act.code) for act in shop.acts] == [("roll_back", f"guardrail_{alarmed}")]
    assert shop.rollout.canary is None
    assert shop.ports.releases.promotion(1).step is Step.ROLLED_BACK


def test_a_first_version_that_breaks_its_bound_is_halted_once_for_each_alarm() -> None:
    guard = '[[rollout.guardrails]]\nmetric = "complaint"\nbound = 0.05\n'
    shop = Shop(manifest(0.5, guard), seed=6)
    came = shop.days(4000, BETTER, every=20, complains=lambda _: 0.3)
    assert [(act.action, act.code) for act in shop.acts] == [("halt", "guardrail_complaint")]
    assert came < 400
    (halted,) = shop.ports.releases.overrides()
    assert (halted.halts, halted.author, halted.policy) == (True, "watch", CART)
    shop.days(1000, BETTER, complains=lambda _: 0.3)
    assert len(shop.acts) == 1, "nothing is drawn while it stands, so nothing more is heard"


def test_worse_than_hold_is_said_where_nothing_was_live_before() -> None:
    shop = Shop(manifest(0.1).replace("previous_share", "hold_share = 0.2\nprevious_share"), seed=7)
    shop.days(4000, WORSE)
    assert [(act.action, act.code) for act in shop.acts] == [("tell", "worse_than_hold")]
    assert shop.ports.releases.overrides() == []
    (line,) = status(CART, shop.watch_ports).lines
    assert (line.watch, line.alarms) == ("hold", 1)


def test_what_does_worse_than_hold_and_cannot_be_taken_back_does_not_cost_the_canary_beside_it() -> None:
    rules = ("previous_share", "hold_share = 0.2\nprevious_share"), ("canary_hours = 0.5", "canary_hours = 2160.0")
    live, candidate = manifest(0.1), manifest(0.9)
    for old, new in rules:
        live, candidate = live.replace(old, new), candidate.replace(old, new)
    shop = Shop(live, seed=7)
    promotion = shop.promote(candidate)
    shop.days(6000, WORSE)
    assert [(act.action, act.code) for act in shop.acts] == [("tell", "worse_than_hold")]
    assert shop.rollout.canary is not None
    assert shop.ports.releases.promotion(promotion.promotion_id).step is Step.CANARY
    assert shop.ports.registry.trail(CART)[-1].action == "alarm"
