"""Coverage and width, side by side: an interval of [0, 1] would cover everything and say nothing."""

import numpy as np
import pytest

from simulator.estimators import DoublyRobust, Ips
from simulator.intervals import ConfidenceSequence, CressieRead, WeightRange, gaussian
from simulator.rounds import LoggedRounds, ScoredRounds

pytestmark = pytest.mark.statistical

RUNS = 300
LOGGER = np.array([0.96, 0.02, 0.02])
CANDIDATE = np.array([0.02, 0.96, 0.02])
WEIGHTS = WeightRange(0.0, 48.0)


def log_of(rate: float, n: int, seed: int) -> ScoredRounds:
    rng = np.random.default_rng(seed)
    action = rng.choice(3, size=n, p=LOGGER)
    rounds = LoggedRounds(
        actions=("a", "b", "c"),
        action=action,
        propensity=LOGGER[action],
        reward=(rng.random(n) < rate).astype(np.float64),
        logged_at=np.arange(n, dtype=np.float64),
    )
    return ScoredRounds(rounds, np.tile(CANDIDATE, (n, 1)), np.full((n, 3), rate))


def coverage_and_width(rate: float, n: int) -> dict[str, tuple[float, float]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(RUNS):
        batch = log_of(rate, n, seed)
        ips, plain, robust = Ips(), CressieRead(Ips(), WEIGHTS), CressieRead(DoublyRobust(), WEIGHTS)
        sequence = ConfidenceSequence()
        for accumulator in (ips, plain, robust, sequence):
            accumulator.update(batch)
        for name, interval in {
            "gaussian": gaussian(ips.result()),
            "cressie_read": plain.result(),
            "cressie_read dr": robust.result(),
            "confidence_sequence": sequence.result(),
        }.items():
            found.setdefault(name, []).append((interval.lo <= rate <= interval.hi, interval.hi - interval.lo))
    return {name: tuple(np.mean(rows, axis=0).tolist()) for name, rows in found.items()}


def test_rare_rewards_break_the_gaussian_and_not_the_others() -> None:
    """At 95 % a true coverage of .95 gives less than .91 of 300 runs with probability below .002."""
    found = coverage_and_width(0.004, 2_000)
    assert found["gaussian"][0] < 0.3
    for name, width in {"cressie_read": 0.1, "cressie_read dr": 0.1, "confidence_sequence": 0.7}.items():
        assert found[name][0] >= 0.91, name
        assert found[name][1] < width, name


def test_frequent_rewards_suit_everyone() -> None:
    """The same limit on coverage, and widths that are of use."""
    found = coverage_and_width(0.9, 10_000)
    widths = {"gaussian": 0.28, "cressie_read": 0.1, "cressie_read dr": 0.1, "confidence_sequence": 0.4}
    for name, width in widths.items():
        assert found[name][0] >= 0.91, name
        assert found[name][1] < width, name
