"""A difference on the same rows is more exact than the two estimates apart, and right."""

import numpy as np
import pytest

from simulator.estimators import ESTIMATORS
from simulator.intervals import gaussian
from simulator.paired import change, effects, mean_of
from simulator.rounds import LoggedRounds, ScoredRounds


def batch(reward: np.ndarray, seed: int = 2) -> ScoredRounds:
    rng = np.random.default_rng(seed)
    n = len(reward)
    rounds = LoggedRounds(
        actions=("a", "b"),
        action=rng.integers(0, 2, n),
        propensity=np.full(n, 0.5),
        reward=reward,
        logged_at=np.arange(n, dtype=np.float64),
        subject=np.arange(n) // 2,
    )
    return ScoredRounds(rounds, np.tile([0.2, 0.8], (n, 1)), np.full((n, 2), 0.4))


@pytest.fixture(scope="module")
def pair() -> tuple[ScoredRounds, ScoredRounds]:
    rng = np.random.default_rng(1)
    first = (rng.random(4000) < 0.3).astype(np.float64)
    return batch(first), batch(np.maximum(first, rng.random(4000) < 0.02))


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "dm", "sndr"])
def test_the_value_is_the_difference_of_the_two(name: str, pair: tuple[ScoredRounds, ScoredRounds]) -> None:
    kind = ESTIMATORS[name]
    results = []
    for part in pair:
        estimator = kind()
        estimator.update(part)
        results.append(estimator.result())
    moved = change(kind, *pair)
    assert moved.value == pytest.approx(results[1].value - results[0].value)
    assert moved.units == 2000
    if name != "dm":  # the same predictions on both sides: nothing moves at all
        assert 0 < moved.standard_error < 0.5 * results[0].standard_error
    back = change(kind, *pair[::-1])
    assert (back.value, back.standard_error) == pytest.approx((-moved.value, moved.standard_error))


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_nothing_changed_is_no_difference_without_doubt(name: str, pair: tuple[ScoredRounds, ScoredRounds]) -> None:
    moved = change(ESTIMATORS[name], pair[0], pair[0])
    assert moved.interval(0.95) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_a_mean_has_the_interval_every_estimate_has(pair: tuple[ScoredRounds, ScoredRounds]) -> None:
    estimator = ESTIMATORS["ips"]()
    estimator.update(pair[0])
    theirs = gaussian(estimator.result())
    ours = mean_of(pair[0].weight * pair[0].reward, pair[0].subject).interval(0.95)
    assert ours == pytest.approx((theirs.lo, theirs.hi))
    assert mean_of(np.array([1.0]), None).interval(0.95) is None


def test_a_candidate_that_is_the_logger_has_no_effect() -> None:
    same = batch(np.ones(200))
    logger = ScoredRounds(same.rounds, np.full((200, 2), 0.5), np.zeros((200, 2)))
    assert effects(logger) == pytest.approx(np.zeros(200))
