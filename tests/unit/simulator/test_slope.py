"""SLOPE: how much bias to accept."""

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators import SgIps, SwitchDr, select_by_slope, slope_index
from simulator.rounds import LoggedRounds, ScoredRounds


def test_equal_values_take_the_narrowest() -> None:
    assert slope_index([0.5, 0.5, 0.5], [0.3, 0.2, 0.1]) == 2


def test_a_far_value_is_bias_and_stops_the_search() -> None:
    assert slope_index([0.5, 0.5, 5.0], [0.3, 0.2, 0.1]) == 1


def test_the_limit_is_the_papers() -> None:
    limit = 0.1 + (np.sqrt(6.0) - 1.0) * 0.3
    assert slope_index([0.0, limit - 1e-9], [0.3, 0.1]) == 1
    assert slope_index([0.0, limit + 1e-9], [0.3, 0.1]) == 0


@pytest.mark.parametrize(("values", "widths"), [([], []), ([1.0], [1.0, 2.0]), ([float("nan")], [1.0])])
def test_what_cannot_be_compared_is_refused(values: list[float], widths: list[float]) -> None:
    with pytest.raises(InvalidInput):
        slope_index(values, widths)


def test_each_family_is_ordered_by_growing_bias() -> None:
    rng = np.random.default_rng(0)
    n = 400
    rounds = LoggedRounds(
        actions=("a", "b"),
        action=rng.integers(0, 2, n),
        propensity=np.full(n, 0.5),
        reward=rng.random(n),
        logged_at=np.arange(n, dtype=np.float64),
    )
    batch = ScoredRounds(rounds, rng.dirichlet(np.ones(2), n), np.full((n, 2), 0.5))
    switch = select_by_slope(SwitchDr, [0.5, 2.0, 1.0], [batch.take(slice(0, 200)), batch.take(slice(200, n))])
    assert switch.candidates == (2.0, 1.0, 0.5)
    assert switch.lam in switch.candidates
    assert [e.n for e in switch.estimates] == [n, n, n]
    assert select_by_slope(SgIps, [0.5, 0.0], [batch]).candidates == (0.0, 0.5)
