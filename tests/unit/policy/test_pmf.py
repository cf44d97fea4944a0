import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import DistributionInvalid
from cxi_bandit.policy.pmf import SUM_TOLERANCE, checked, floored

WEIGHTS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30).filter(lambda weights: sum(weights) > 1e-3)


def distribution(weights: list[float]) -> list[float]:
    """As a learner gives it: float32 values that need not sum to 1 exactly."""
    share = np.array(weights) / sum(weights)
    return [float(value) for value in share.astype(np.float32)]


@given(WEIGHTS, st.floats(1e-6, 0.9))
def test_floors_are_honoured_and_the_vector_sums_to_one(weights: list[float], total_floor: float) -> None:
    pmf = checked(distribution(weights), len(weights))
    floor = total_floor / len(weights)
    vector = floored(pmf, [floor] * len(weights))
    assert abs(math.fsum(vector) - 1.0) <= 1e-12
    assert all(value >= floor * (1 - 1e-12) for value in vector)


@given(WEIGHTS)
def test_the_same_vector_gives_the_same_bits(weights: list[float]) -> None:
    pmf = distribution(weights)
    floors = [0.3 / len(pmf)] * len(pmf)
    assert [value.hex() for value in floored(pmf, floors)] == [value.hex() for value in floored(list(pmf), floors)]


@given(WEIGHTS, st.randoms(use_true_random=False))
def test_the_order_of_interventions_only_reorders_the_vector(weights: list[float], rng: object) -> None:
    pmf = distribution(weights)
    floors = [0.4 * (index + 1) / sum(range(1, len(pmf) + 1)) for index in range(len(pmf))]
    order = list(range(len(pmf)))
    rng.shuffle(order)
    straight = floored(pmf, floors)
    shuffled = floored([pmf[index] for index in order], [floors[index] for index in order])
    assert shuffled == tuple(straight[index] for index in order)


def test_a_floor_moves_probability_in_proportion() -> None:
    assert floored([0.5, 0.5, 0.0], [0.1, 0.0, 0.1]) == pytest.approx([0.5, 0.4, 0.1], abs=1e-15)


def test_no_floor_changes_nothing_but_rounding() -> None:
    assert floored([0.25, 0.75], [0.0, 0.0]) == (0.25, 0.75)


@pytest.mark.parametrize(
    "wrong",
    [
        [0.5],
        [0.5, 0.25, 0.25],
        [],
        [1.1, -0.1],
        [math.nan, 1.0],
        [math.inf, 0.0],
        [0.5, 0.5 + 1e-5],
        [0.5, 0.5 - 1e-5],
        [0.0, 0.0],
    ],
)
def test_what_is_no_distribution_is_refused(wrong: list[float]) -> None:
    with pytest.raises(DistributionInvalid):
        checked(wrong, 2)


def test_float32_rounding_is_no_reason_to_refuse() -> None:
    pmf = [float(np.float32(1 / 7))] * 7
    assert checked(pmf, 7) is pmf


@given(st.lists(st.floats() | st.floats(0.0, 1.0), min_size=1, max_size=8) | WEIGHTS.map(distribution))
def test_exactly_what_keeps_every_rule_of_a_distribution_passes(pmf: list[float]) -> None:
    sound = all(value >= 0.0 and value < math.inf for value in pmf) and abs(math.fsum(pmf) - 1.0) <= SUM_TOLERANCE
    try:
        checked(pmf, len(pmf))
    except DistributionInvalid:
        assert not sound
    else:
        assert sound
