"""The band of a mean over time: mirrors, scales, tightens, and needs nothing of a stretch but its sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.mean_band import Band, RewardSums, difference_band, mean_band

rewards = st.lists(st.lists(st.floats(0.0, 1.0), max_size=6), min_size=1, max_size=8)


def sums(values: list[float]) -> RewardSums:
    return RewardSums(number=len(values), total=sum(values), squares=sum(value * value for value in values))


def band(stretches: list[list[float]], alpha: float = 0.05) -> Band:
    return mean_band([sums(values) for values in stretches], (0.0, 1.0), alpha)


@given(rewards)
def test_negated_rewards_mirror(stretches: list[list[float]]) -> None:
    found = band(stretches)
    mirrored = mean_band([sums([-value for value in values]) for values in stretches], (-1.0, 0.0), 0.05)
    np.testing.assert_allclose(mirrored.low, -found.high, atol=1e-9)
    np.testing.assert_allclose(mirrored.high, -found.low, atol=1e-9)


@given(rewards)
def test_another_unit_changes_nothing_but_the_unit(stretches: list[list[float]]) -> None:
    found = band(stretches)
    other = mean_band([sums([10.0 * value - 3.0 for value in values]) for values in stretches], (-3.0, 7.0), 0.05)
    np.testing.assert_allclose(other.low, 10.0 * found.low - 3.0, atol=1e-6)
    np.testing.assert_allclose(other.high, 10.0 * found.high - 3.0, atol=1e-6)


@given(rewards)
def test_the_mean_is_inside_and_less_alpha_is_wider(stretches: list[list[float]]) -> None:
    found, wider = band(stretches), band(stretches, 0.001)
    known = found.number > 0
    assert np.isnan(found.mean[~known]).all()
    assert (found.low[known] <= found.mean[known] + 1e-9).all()
    assert (found.mean[known] <= found.high[known] + 1e-9).all()
    assert (wider.low <= found.low + 1e-9).all()
    assert (wider.high >= found.high - 1e-9).all()
    assert (found.low[~known] == 0.0).all()
    assert (found.high[~known] == 1.0).all()


@given(rewards)
def test_an_empty_stretch_changes_nothing(stretches: list[list[float]]) -> None:
    found = band([*stretches, []])
    assert (found.low[-1], found.high[-1]) == (found.low[-2], found.high[-2])


@given(rewards, rewards, st.integers(1, 3))
def test_putting_stretches_of_a_day_together_moves_no_moment_that_is_left(
    first: list[list[float]], second: list[list[float]], parts: int
) -> None:
    apart = [sums(values) for values in [*first, *second]]
    days = [1] * len(first) + [2] * len(second)
    found = mean_band(apart, (0.0, 1.0), 0.05, days)
    hours = [
        sums([value for values in first[at : at + parts] for value in values]) for at in range(0, len(first), parts)
    ]
    whole = sums([value for values in second for value in values])
    merged = mean_band([*hours, whole], (0.0, 1.0), 0.05, [1] * len(hours) + [2])
    ends = [min(at + parts, len(first)) - 1 for at in range(0, len(first), parts)] + [len(apart) - 1]
    np.testing.assert_allclose(merged.low, found.low[ends], atol=1e-9)
    np.testing.assert_allclose(merged.high, found.high[ends], atol=1e-9)


@pytest.mark.parametrize("days", [[1], [2, 1]])
def test_days_go_forward_and_each_stretch_has_one(days: list[int]) -> None:
    with pytest.raises(InvalidInput, match="in the order of time"):
        mean_band([sums([0.5])] * 2, (0.0, 1.0), 0.05, days)


def test_more_data_tightens_and_less_spread_too() -> None:
    mixed = band([[0.0, 1.0] * 50] * 100)
    widths = mixed.high - mixed.low
    assert (np.diff(widths) < 0).all()
    assert widths[-1] < 0.1
    steady = band([[0.5, 0.5] * 50] * 100)
    assert (steady.high - steady.low)[-1] < widths[-1] / 10


def test_bands_of_two_arms_are_subtracted_end_by_end() -> None:
    served, held = band([[1.0] * 20, [0.9] * 20]), band([[0.0] * 5, [0.1] * 5])
    found = difference_band(served, held)
    assert found.number.tolist() == [5.0, 10.0]
    np.testing.assert_allclose(found.mean, [1.0, 0.9])
    np.testing.assert_allclose(found.low, served.low - held.high)
    np.testing.assert_allclose(found.high, served.high - held.low)
    with pytest.raises(InvalidInput, match="as many stretches, 2"):
        difference_band(served, band([[0.0]]))


def test_sums_add_up() -> None:
    assert sums([0.5, 0.25]) + sums([1.0]) == sums([0.5, 0.25, 1.0])
    assert RewardSums() + sums([1.0]) == sums([1.0])


@pytest.mark.parametrize(
    ("reward_range", "alpha", "message"),
    [((1.0, 1.0), 0.05, "needs low < high"), ((0.0, 1.0), 0.0, "must be in"), ((2.0, 3.0), 0.05, "outside")],
)
def test_what_makes_no_sense_is_refused(reward_range: tuple[float, float], alpha: float, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        mean_band([sums([0.5])], reward_range, alpha)
