"""What a watch errs with, and how soon it finds what it is there to find. Seeds are fixed; each bound is stated."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from cxi_bandit.domain.identifiers import lowest_id_at
from cxi_bandit.domain.rollout import Canary, Split, Stand
from cxi_bandit.engine.watch_canary import CanaryWatch, Exposure
from cxi_bandit.engine.watch_ruling import Bar, Move, ruling
from cxi_bandit.evidence.canary import arm_bounds
from cxi_bandit.evidence.contrast import Bounds, Contrasts
from cxi_bandit.evidence.detector import Detector, above, bounded, swapped_differences, watched
from cxi_bandit.policy.release_rules import RolloutRules

pytestmark = pytest.mark.statistical

BEGAN = datetime(2026, 5, 4, tzinfo=UTC)
LATER = datetime(2026, 6, 4, tzinfo=UTC)
RULES = RolloutRules(canary_shares=(0.1, 0.3), canary_hours=1.0, canary_shoppers=100)
ALPHA = 0.05


def run(rng: np.random.Generator, lift: float, shoppers: int = 4000, leak: float = 0.0) -> str:
    """A canary through both steps, looked at every 100 shoppers: how it ended.

    Shoppers differ: each has a rate of their own around 0.2; the canary adds `lift` to it.
    """
    watch = CanaryWatch(began=BEGAN, delta=0.0, after=lowest_id_at(BEGAN))
    step = 0
    for _ in range(shoppers // 100):
        share = RULES.canary_shares[step]
        since = BEGAN.replace(day=BEGAN.day + step)
        treated = rng.random(100) < share * (1.0 - leak)
        taste = rng.beta(1.0, 4.0, 100)
        value = (rng.random(100) < np.clip(taste + lift * treated, 0.0, 1.0)).astype(float)
        watch = watch.hearing(
            [Exposure(since, share, bool(z), float(y), anonymous=False) for z, y in zip(treated, value, strict=True)]
        )
        canary = Canary(stand=Stand(version=2), split=Split(share=share, salt="s"), promotion_id=1, since=since)
        ruled = ruling(watch, canary, step, Bar(-math.log(ALPHA), RULES), LATER)
        if ruled.move is Move.NEXT_STEP:
            step = 1
        elif ruled.move is not Move.WAIT:
            return ruled.code
    return "waits"


def ends(lift: float, runs: int, seed: int, leak: float = 0.0) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    found = [run(rng, lift, leak=leak) for _ in range(runs)]
    return {code: found.count(code) for code in set(found)}


def test_with_no_change_fewer_than_alpha_of_the_canaries_go_live_or_are_called_worse() -> None:
    """300 runs, 40 looks each. At most alpha by the theorem, less in practice."""
    found = ends(0.0, runs=300, seed=1)
    assert found.get("canary_better", 0) < ALPHA * 300
    assert found.get("canary_worse", 0) < ALPHA * 300
    assert found.get("sample_ratio", 0) <= 2


def test_a_worse_canary_never_goes_live_and_is_mostly_found() -> None:
    found = ends(-0.12, runs=100, seed=2)
    assert found.get("canary_better", 0) == 0
    assert found["canary_worse"] >= 80


def test_a_better_canary_mostly_goes_live() -> None:
    found = ends(0.12, runs=100, seed=3)
    assert found["canary_better"] >= 80
    assert found.get("canary_worse", 0) <= 2


def test_a_canary_that_loses_a_third_of_its_shoppers_is_found_whatever_they_earned() -> None:
    found = ends(0.12, runs=50, seed=4, leak=1.0 / 3.0)
    assert found.get("sample_ratio", 0) >= 40


ARMS, EPSILON, BASE = 10, 0.2, 0.1
COMING_BACK = Bounds(upper=ARMS / EPSILON - 1.0, lower=1.0, shortfall=1.0)
"""Of shoppers in the live arm who come back: their arm is known, and only its own vector is a fresh draw."""


def quiet(share: float | None, alarm_at: float) -> Detector:
    return Detector(bounds=COMING_BACK if share is None else arm_bounds(share), alarm_at=alarm_at)


def stream(rng: np.random.Generator, number: int, gap: float, share: float | None) -> Contrasts:
    """So many shoppers whom the live policy serves better than the one before it by `gap`.

    Args:
        share: Of the previous arm, for shoppers who are new; None for those who come back to the live arm.
    """
    live, before = np.full(ARMS, EPSILON / ARMS), np.full(ARMS, EPSILON / ARMS)
    live[0] += 1.0 - EPSILON
    before[1] += 1.0 - EPSILON
    logged = live if share is None else share * before + (1.0 - share) * live
    drawn = rng.choice(ARMS, size=number, p=logged)
    rate = np.where(drawn == 0, BASE + gap / (1.0 - EPSILON), BASE)
    reward = (rng.random(number) < rate).astype(float)
    bounds = quiet(share, 2.0).bounds
    found = swapped_differences(logged=logged[drawn], incumbent=before[drawn], live=live[drawn], bounds=bounds)
    return watched(found, reward)


@pytest.mark.parametrize(("share", "within"), [(0.03, 6000), (None, 9000)])
def test_a_fall_of_eight_points_is_found_within_the_stated_decisions(share: float | None, within: int) -> None:
    """From +.02 to -.06 after 4,000 good decisions, at c = 1e5: 25 runs, of which 23 must be found in time."""
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(25):
        detector = quiet(share, 1e5).watching(stream(rng, 4000, 0.02, share))
        assert detector.alarmed_after is None, "nothing is taken back while all is well"
        found += detector.watching(stream(rng, within, -0.06, share)).alarmed_after is not None
    assert found >= 23


@pytest.mark.parametrize("share", [0.03, None])
def test_false_rollbacks_are_bounded_by_units_over_c(share: float | None) -> None:
    """No difference, 2,000 units at c = 10,000: at most .2 of the runs by the theorem; 60 runs, 20 allowed."""
    rng = np.random.default_rng(2)
    alarms = sum(quiet(share, 1e4).watching(stream(rng, 2000, 0.0, share)).alarmed_after is not None for _ in range(60))
    assert alarms <= 20


@pytest.mark.parametrize(("rate", "within"), [(0.04, 3000), (0.06, 1000)])
def test_a_breached_bound_is_found_within_the_stated_decisions(rate: float, within: int) -> None:
    """A harm bounded by .02, c = 1e5: 25 runs, of which 23 must be found in time; at the bound none of these is."""
    rng = np.random.default_rng(3)
    guard = above(0.02, 1e5)
    breached = [guard.watching(bounded((rng.random(within) < rate).astype(float))) for _ in range(25)]
    assert sum(one.alarmed_after is not None for one in breached) >= 23
    held = [guard.watching(bounded((rng.random(within) < 0.02).astype(float))) for _ in range(25)]
    assert sum(one.alarmed_after is not None for one in held) <= 2
