"""The likeliest distribution over rows under which weights average to 1."""

import numpy as np
import pytest
from scipy.optimize import minimize

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators.empirical_likelihood import EmpiricalLikelihood
from simulator.rounds import LoggedRounds, ScoredRounds


def batch_of(n: int, seed: int) -> ScoredRounds:
    rng = np.random.default_rng(seed)
    action = rng.choice(2, size=n, p=[0.6, 0.4])
    rounds = LoggedRounds(
        actions=("a", "b"),
        action=action,
        propensity=np.array([0.6, 0.4])[action],
        reward=rng.random(n),
        logged_at=np.arange(n, dtype=np.float64),
    )
    return ScoredRounds(rounds, np.tile([0.3, 0.7], (n, 1)))


def value(*batches: ScoredRounds) -> float:
    found = EmpiricalLikelihood(0.0, 1.75)
    for batch in batches:
        found.update(batch)
    return found.value()


@pytest.mark.parametrize("seed", range(4))
def test_it_maximises_the_likelihood(seed: int) -> None:
    batch = batch_of(12, seed)
    constraints = [
        {"type": "eq", "fun": lambda q: q.sum() - 1.0},
        {"type": "eq", "fun": lambda q: q @ batch.weight - 1.0},
    ]
    start = np.full(12, 1 / 12)
    solved = minimize(
        lambda q: -np.log(q).sum(), start, jac=lambda q: -1.0 / q, bounds=[(1e-9, 1)] * 12, constraints=constraints
    )
    assert solved.success
    assert value(batch) == pytest.approx(solved.x @ (batch.weight * batch.reward), abs=1e-5)


def test_parts_and_order_change_nothing() -> None:
    batch = batch_of(200, 7)
    whole = value(batch)
    assert value(batch.take(slice(0, 50)), batch.take(slice(50, 200))) == pytest.approx(whole, rel=1e-9)
    assert value(batch.take(np.random.default_rng(0).permutation(200))) == pytest.approx(whole, rel=1e-9)
    left, right = EmpiricalLikelihood(), EmpiricalLikelihood()
    left.update(batch.take(slice(0, 50)))
    assert (left + right).value() == pytest.approx(left.value())


def test_nothing_seen_is_no_number() -> None:
    assert np.isnan(EmpiricalLikelihood().value())
    with pytest.raises(InvalidInput, match="weight_range"):
        EmpiricalLikelihood(1.0, 2.0)
