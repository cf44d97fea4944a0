"""The detector of a harm above its bound, and the bounds of an arm beside the live one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.bets import GRID
from cxi_bandit.evidence.canary import arm_bounds, canary_contrasts
from cxi_bandit.evidence.detector import above, bounded

VALUES = st.lists(st.floats(0.0, 1.0), max_size=40)


@given(VALUES, st.floats(0.001, 0.999))
def test_its_level_is_the_mean_of_the_stated_recursion(values: list[float], bound: float) -> None:
    detector = above(bound, 1e300)
    level = np.zeros(len(GRID))
    for value in values:
        # What is left for the other side is a hair, but over forty steps it shows.
        level = (level + 1.0) * (1.0 + np.array(GRID) * (value - bound) / (bound + detector.bounds.lower))
    assert detector.bounds.lower <= 1e-9
    found = detector.watching(bounded(np.array(values, np.float64)))
    assert found.level == pytest.approx(float(level.mean()), rel=1e-12)


@given(VALUES, st.integers(0, 40), st.floats(0.01, 0.9))
def test_it_may_be_fed_in_pieces(values: list[float], cut: int, bound: float) -> None:
    array = np.array(values, np.float64)
    whole = above(bound, 50.0).watching(bounded(array))
    assert above(bound, 50.0).watching(bounded(array[:cut])).watching(bounded(array[cut:])) == whole


def test_after_an_alarm_it_can_be_begun_again() -> None:
    rung = above(0.1, 50.0).watching(bounded(np.ones(100)))
    assert rung.alarmed_after is not None
    assert rung.watching(bounded(np.ones(5))) == rung
    again = rung.afresh()
    assert (again.level, again.alarmed_after, again.position) == (0.0, None, rung.position)
    assert again.watching(bounded(np.ones(100))).alarmed_after is not None


@pytest.mark.parametrize("bound", [0.0, 1.0, float("nan")])
def test_a_bound_that_nothing_could_break_or_keep_is_refused(bound: float) -> None:
    with pytest.raises(InvalidInput, match="bound"):
        above(bound, 1e5)


@given(st.floats(0.005, 0.3), st.floats(0.0, 0.5), st.booleans(), st.floats(0.0, 1.0))
def test_an_arms_bounds_hold_whatever_a_canary_takes_of_the_live_one(
    share: float, canary: float, other: bool, value: float
) -> None:
    among = share / (share + (1.0 - share) * (1.0 - canary))
    contrast = canary_contrasts(np.array([other]), np.array([value]), among)
    bounds = arm_bounds(share)
    assert -bounds.lower * (1 + 1e-9) <= float(contrast.tilt[0]) <= bounds.upper * (1 + 1e-9)
