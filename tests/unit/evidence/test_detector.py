"""The detector: its recursion, its resumption, and what it promises."""

import itertools

import msgspec
import numpy as np
import pytest

from cxi_bandit.evidence.bets import GRID
from cxi_bandit.evidence.contrast import BoundExceeded, Bounds, Contrasts
from cxi_bandit.evidence.detector import Detector, false_alarms_per_year, swapped_differences, watched
from simulator.gate.unit import taken

BOUNDS = Bounds(upper=1.5, lower=1.5)


def contrasts(number: int, gap: float, seed: int = 0) -> Contrasts:
    rng = np.random.default_rng(seed)
    action = rng.integers(0, 2, number)
    reward = (rng.random(number) < 0.4 + gap * (action == 0)).astype(float)
    old, live = np.array([0.875, 0.125])[action], np.array([0.125, 0.875])[action]
    found = swapped_differences(logged=np.full(number, 0.5), incumbent=old, live=live, bounds=BOUNDS)
    return watched(found, reward)


def test_it_is_the_formula() -> None:
    seen = contrasts(200, 0.1)
    level, total = np.zeros((2, 24)), 0.0
    for t, (gain, tilt, reward) in enumerate(zip(seen.gain, seen.tilt, seen.reward, strict=True)):
        c = total / max(t, 1)
        for kind, baseline in enumerate((0.0, c)):
            scale = max(baseline * 1.5, (1 - baseline) * 1.5)
            level[kind] = (level[kind] + 1) * (1 + np.array(GRID) * (gain - baseline * tilt) / scale)
        total += reward
    assert Detector(bounds=BOUNDS).watching(seen).level == pytest.approx(level.mean(), rel=1e-9)


def test_many_sittings_equal_one_bit_for_bit() -> None:
    seen = contrasts(5000, -0.05)
    one = Detector(bounds=BOUNDS, alarm_at=1e9).watching(seen)
    resumed = Detector(bounds=BOUNDS, alarm_at=1e9)
    for first, last in itertools.pairwise([0, 1, 700, 701, 4999, 5000]):
        resumed = resumed.watching(taken(seen, slice(first, last)))
        resumed = msgspec.json.decode(msgspec.json.encode(resumed), type=Detector)
    assert resumed == one
    assert one.alarmed_after is None


def test_a_worse_live_policy_is_found_and_the_alarm_stays() -> None:
    found = Detector(bounds=BOUNDS).watching(contrasts(5000, 0.3))
    assert found.alarmed_after is not None
    assert found.alarmed_after < 1000
    assert found.level >= found.alarm_at
    assert found.watching(contrasts(100, -0.3)) == found


def test_a_better_live_policy_first_does_not_blunt_it() -> None:
    good = Detector(bounds=BOUNDS).watching(contrasts(20_000, -0.1))
    assert good.alarmed_after is None
    found = good.watching(contrasts(5000, 0.3, seed=1)).alarmed_after
    assert found is not None
    assert found < 21_500


def test_the_live_policy_is_not_clipped_and_bounds_hold() -> None:
    one = np.array([0.01])
    found = swapped_differences(logged=one, incumbent=np.array([0.0]), live=np.array([0.9]),
                                bounds=Bounds(upper=1.0, lower=100.0))  # fmt: skip
    assert found.difference[0] == pytest.approx(-90.0)
    with pytest.raises(BoundExceeded):
        swapped_differences(logged=one, incumbent=np.array([0.0]), live=np.array([0.9]), bounds=BOUNDS)


def test_alarms_per_year_are_stated() -> None:
    assert false_alarms_per_year(3_650_000, 1e6) == 3.65
