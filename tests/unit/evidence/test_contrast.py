"""The contrast: its mean is never above V_e - V_i, and what cannot be estimated is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.contrast import (
    BoundExceeded,
    Bounds,
    Floats,
    IncumbentUnsupported,
    bounds_from_floor,
    bounds_where_incumbent_logs,
    scaled,
    weight_differences,
)

WIDE = Bounds(upper=1e6, lower=1e6, shortfall=1.0)


def policies(seed: int, hole: bool) -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    logged, incumbent, candidate = rng.dirichlet(np.ones(5), size=3)
    if hole:
        logged[4] = incumbent[4] = 0.0
        logged, incumbent = logged / logged.sum(), incumbent / incumbent.sum()
    return logged, incumbent, candidate, rng.random(5)


@given(seed=st.integers(0, 300), cap=st.floats(1.1, 30.0), baseline=st.floats(0.0, 1.0), hole=st.booleans())
def test_the_mean_is_at_most_the_difference_in_value(seed: int, cap: float, baseline: float, hole: bool) -> None:
    logged, incumbent, candidate, reward = policies(seed, hole)
    seen = np.flatnonzero(logged > 0)
    rows = [np.tile(vector, (len(seen), 1)) for vector in (logged, incumbent, candidate)]
    found = weight_differences(
        logged=rows[0], incumbent=rows[1], candidate=rows[2], action=seen, weight_cap=cap, bounds=WIDE
    )
    contrast = found.difference * (reward[seen] - baseline) - found.shortfall * baseline
    mean = float(logged[seen] @ contrast)
    truth = float((candidate - incumbent) @ reward)
    assert mean <= truth + 1e-9
    if not hole and cap >= (candidate / logged).max():
        assert mean == pytest.approx(truth, abs=1e-9)


def test_an_unsupported_incumbent_is_refused() -> None:
    one = np.array([[1.0, 0.0]])
    with pytest.raises(IncumbentUnsupported) as caught:
        weight_differences(
            logged=one, incumbent=np.array([[0.9, 0.1]]), candidate=one, action=np.array([0]), weight_cap=9.0,
            bounds=WIDE,
        )  # fmt: skip
    assert caught.value.pointer == "/incumbent/0"


def test_a_wrong_declaration_is_an_error() -> None:
    logged = np.array([[0.5, 0.5], [0.99, 0.01]])
    candidate = np.array([[0.5, 0.5], [0.01, 0.99]])
    arguments = {"logged": logged, "incumbent": logged, "candidate": candidate, "action": np.array([0, 1])}
    with pytest.raises(BoundExceeded, match="/rows/1"):
        weight_differences(**arguments, weight_cap=99.0, bounds=bounds_where_incumbent_logs(50.0))
    with pytest.raises(BoundExceeded, match="shortfall"):
        weight_differences(**arguments, weight_cap=50.0, bounds=bounds_where_incumbent_logs(50.0, shortfall=0.0))
    weight_differences(**arguments, weight_cap=50.0, bounds=bounds_where_incumbent_logs(50.0))


@pytest.mark.parametrize(
    ("pointer", "change"),
    [
        ("/logged/0", {"logged": np.array([[0.5, 0.6]])}),
        ("/candidate", {"candidate": np.array([[1.0]])}),
        ("/candidate/0", {"candidate": np.array([[np.nan, 1.0]])}),
        ("/action", {"action": np.array([0, 1])}),
        ("/action", {"action": np.array([2])}),
        ("/logged/0", {"logged": np.array([[1.0, 0.0]]), "action": np.array([1])}),
    ],
)
def test_bad_rows_are_named(pointer: str, change: dict[str, Floats]) -> None:
    even = np.array([[0.5, 0.5]])
    arguments = {"logged": even, "incumbent": even, "candidate": even, "action": np.array([0])} | change
    with pytest.raises(InvalidInput) as caught:
        weight_differences(**arguments, weight_cap=9.0, bounds=WIDE)
    assert caught.value.pointer == pointer


@given(seed=st.integers(0, 200), floor=st.floats(0.01, 0.1), cap=st.floats(1.5, 50.0))
def test_floors_give_bounds_that_hold(seed: int, floor: float, cap: float) -> None:
    rng = np.random.default_rng(seed)
    logged = floor + (1 - 4 * floor) * rng.dirichlet(np.full(4, 0.3), size=50)
    other = rng.dirichlet(np.full(4, 0.2), size=(2, 50))
    action = rng.integers(0, 4, 50)
    bounds = bounds_from_floor(cap, floor)
    weight_differences(
        logged=logged, incumbent=other[0], candidate=other[1], action=action, weight_cap=cap, bounds=bounds
    )


def test_quarantined_rewards_enter_clipped() -> None:
    value, clipped = scaled(np.array([-5.0, 0.0, 10.0, 30.0, np.inf]), 0.0, 20.0)
    assert value.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert clipped == 3
    with pytest.raises(InvalidInput, match="/reward/1"):
        scaled(np.array([0.0, np.nan]), 0.0, 1.0)


@pytest.mark.parametrize("fields", [{"upper": 0.0}, {"lower": np.inf}, {"shortfall": 1.1}])
def test_bounds_are_checked(fields: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="/bounds/"):
        Bounds(**{"upper": 1.0, "lower": 1.0} | fields)
