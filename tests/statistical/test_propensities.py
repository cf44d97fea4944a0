"""The logged propensities are the frequencies: for every explorer, through learning, eligibility and floors.

Given its vector, each draw is a coin of known bias, so for each intervention the sum of (drawn - p) over all decisions
is a martingale with variance sum of p (1 - p); over a few thousand decisions its z is normal whatever was learned
between. Seeds are fixed. A right engine would fail this file, under other seeds, once in a thousand.
"""

import math
from functools import cache

import pytest
from scipy import stats

from cxi_bandit.domain.assignment import Arm
from simulator.loop import Loop, LoopResult
from simulator.manifests import shipped_texts, with_explorer

pytestmark = pytest.mark.statistical

EXPLORERS = {
    "squarecb": "gamma_scale = 1000.0",
    "epsilon_greedy": "epsilon = 0.1",
    "softmax": "inverse_temperature = 10.0",
    "cover": "policies = 4",
    "bag": "models = 5",
    "regcb": "",
    "rnd": "networks = 3",
}
DECISIONS = 3000
FALSE_ALARM = 1e-3 / (len(EXPLORERS) * 10)


@cache  # what a seed makes is the same every time, and nobody here changes it
def run(algorithm: str) -> LoopResult:
    text = with_explorer(shipped_texts()["search.toml"], f'algorithm = "{algorithm}"\n{EXPLORERS[algorithm]}')
    return Loop({"search.toml": text}, seed=5).run(DECISIONS)


@pytest.mark.parametrize("algorithm", EXPLORERS)
def test_frequencies_match_logged_propensities(algorithm: str) -> None:
    result = run(algorithm)
    assert any(decision.model_version is not None for decision in result.decisions)
    drawn: dict[str, float] = {}
    expected: dict[str, float] = {}
    variance: dict[str, float] = {}
    for decision in result.decisions:
        vector = dict(zip(decision.situation.eligible, decision.probabilities, strict=True))
        assert decision.propensity == vector[decision.intervention]
        assert abs(math.fsum(decision.probabilities) - 1.0) <= 1e-12
        for name, probability in vector.items():
            drawn[name] = drawn.get(name, 0.0) + (name == decision.intervention)
            expected[name] = expected.get(name, 0.0) + probability
            variance[name] = variance.get(name, 0.0) + probability * (1.0 - probability)
    assert len(drawn) == 7
    for name, seen in drawn.items():
        z = (seen - expected[name]) / variance[name] ** 0.5
        assert 2 * stats.norm.sf(abs(z)) > FALSE_ALARM, (name, z)


@pytest.mark.parametrize("algorithm", EXPLORERS)
def test_floors_are_honoured(algorithm: str) -> None:
    result = run(algorithm)
    exploration = result.manifests.by_sha(result.decisions[0].manifest_sha).exploration
    for decision in result.decisions:
        if decision.assignment is not None and decision.assignment.arm is Arm.HOLD:
            assert (decision.intervention, decision.propensity) == ("hold", 1.0)
            continue
        for name, probability in zip(decision.situation.eligible, decision.probabilities, strict=True):
            floor = exploration.hold_floor if name == "hold" else exploration.floor
            assert probability >= floor * (1 - 1e-12)


def test_the_draws_within_one_band_of_probability_are_as_frequent_as_it_says() -> None:
    # Chi-square over bands: a vector that is right on average but wrong where it is high or low would pass the z above.
    bands: dict[int, list[float]] = {}
    for decision in run("squarecb").decisions:
        for name, probability in zip(decision.situation.eligible, decision.probabilities, strict=True):
            count = bands.setdefault(min(int(probability * 10), 9), [0.0, 0.0, 0.0])
            count[0] += name == decision.intervention
            count[1] += probability
            count[2] += probability * (1.0 - probability)
    terms = [(seen - wanted) ** 2 / variance for seen, wanted, variance in bands.values() if variance > 5.0]
    # Bands share draws, so the sum of squares is no exact chi-square; 1e-4 leaves room for that.
    assert stats.chi2.sf(sum(terms), len(terms)) > 1e-4
