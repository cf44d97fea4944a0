"""A log with everything a log can have, and one with nothing but propensities."""

import numpy as np
import pytest

from simulator.partitions import Partition
from simulator.rounds import LoggedRounds

N, K, SLOTS = 3000, 6, 3


def made(n: int = N, *, rich: bool = True, seed: int = 7) -> Partition:
    generator = np.random.default_rng(seed)
    logged = generator.dirichlet(np.full(K, 2.0), n) * 0.94 + 0.01
    cumulated = np.cumsum(logged, axis=1)
    action = np.minimum((generator.random((n, 1)) * cumulated[:, -1:] > cumulated).sum(axis=1), K - 1)
    propensity = logged[np.arange(n), action]
    position = generator.integers(0, SLOTS, n)
    reward = (generator.random(n) < 0.1 + 0.1 * action / K + 0.05 * position).astype(np.float64)
    rounds = LoggedRounds(
        actions=tuple(f"a{k}" for k in range(K)),
        action=action,
        propensity=propensity,
        reward=reward,
        logged_at=np.arange(n, dtype=np.float64) * 60.0,
        position=position if rich else None,
        subject=generator.integers(0, n // 2, n) if rich else None,
        probabilities=logged / logged.sum(axis=1, keepdims=True) if rich else None,
    )
    if rich:
        assert rounds.probabilities is not None
        propensity = rounds.probabilities[np.arange(n), action]
    candidate = generator.dirichlet(np.full(K, 1.5), n)
    return Partition(rounds=rounds, candidate=candidate, rescored=rounds.probabilities)


@pytest.fixture(scope="session")
def rich() -> Partition:
    return made()


@pytest.fixture(scope="session")
def plain() -> Partition:
    return made(rich=False)
