import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxi_bandit.policy.manifest import CategoryFeature, FlagFeature, NumberFeature
from cxi_bandit.policy.stability import Moments, change_score, drift_of, population_stability

NUMBER = NumberFeature(min=0.0, max=1.0)
CATEGORY = CategoryFeature()
counts = st.dictionaries(st.integers(0, 8), st.integers(1, 500), min_size=1)


def test_the_index_is_that_of_the_formula() -> None:
    index = population_stability({"a": 59, "b": 39}, {"a": 19, "b": 79})
    # Half an observation more in each bin: shares .601/.399 and .197/.803.
    p, q = (59.5 / 99, 39.5 / 99), (19.5 / 99, 79.5 / 99)
    assert index == pytest.approx(sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True)))
    assert index > 0.2


@settings(deadline=None, max_examples=50)
@given(counts, counts)
def test_it_is_a_distance_of_shares_whatever_the_bins_are_called(one: dict[int, int], other: dict[int, int]) -> None:
    index = population_stability(one, other)
    assert index >= -1e-12
    assert population_stability(one, one) == pytest.approx(0.0, abs=1e-12)
    assert population_stability(other, one) == pytest.approx(index)
    named = [{str(-name): count for name, count in reversed(sample.items())} for sample in (one, other)]
    assert population_stability(*named) == pytest.approx(index)


@settings(deadline=None, max_examples=50)
@given(counts, counts, st.integers(50, 100))
def test_more_of_the_same_brings_it_nearer_to_the_divergence(
    one: dict[int, int], other: dict[int, int], times: int
) -> None:
    many = [{name: count * times for name, count in sample.items()} for sample in (one, other)]
    if one.keys() == other.keys():
        n, m = sum(one.values()), sum(other.values())
        shares = [(one[name] / n, other[name] / m) for name in one]
        exact = sum((q - p) * math.log(q / p) for p, q in shares)
        assert population_stability(*many) == pytest.approx(exact, rel=0.2, abs=0.02)


@pytest.mark.statistical
def test_without_drift_it_is_what_its_bins_and_samples_make_of_noise() -> None:
    seeded = random.Random(5)
    indices = []
    for _ in range(200):
        one, other = ([seeded.random() for _ in range(600)] for _ in range(2))
        indices.append(drift_of(NUMBER, one, other))
    # (B - 1)(1/n + 1/m) = 0.03, its standard error over 200 samples 0.001: five of them on either side.
    assert statistics.fmean(indices) == pytest.approx(9 * (2 / 600), abs=0.005)
    assert max(indices) < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_order_and_scale_do_not_show(seed: int) -> None:
    shuffled = random.Random(seed)
    values = [round(shuffled.random(), seed) for _ in range(60)]
    again = values[:]
    shuffled.shuffle(again)
    assert drift_of(NUMBER, values, again) == pytest.approx(0.0, abs=1e-12)
    lower, upper = values[: len(values) // 2], values[len(values) // 2 :]
    scaled = drift_of(NUMBER, [4 * value for value in lower], [4 * value for value in upper])
    assert scaled == pytest.approx(drift_of(NUMBER, lower, upper))


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (NUMBER, [0.1, 0.2, 0.3, 0.4], [0.8, 0.9, 0.8, 0.9]),
        (NUMBER, [0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.6, 0.6]),
        (NUMBER, [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, None, None]),
        (NUMBER, [None, None, None, None], [0.1, 0.2, 0.3, 0.4]),
        (CATEGORY, ["mobile", "mobile", "mobile", "desktop"], ["desktop", "desktop", "desktop", "mobile"]),
        (CATEGORY, ["missing", "other", "mobile", "mobile"], [None, None, "mobile", "mobile"]),
        (FlagFeature(), [True, True, True, False], [False, False, False, True]),
    ],
)
def test_what_drifts_is_seen(kind: object, before: list[object], after: list[object]) -> None:
    assert drift_of(kind, before * 100, after * 100) > 0.2  # type: ignore[arg-type]
    assert drift_of(kind, before * 100, before * 200) < 0.01  # type: ignore[arg-type]


def test_rare_values_are_one_however_many_they_are() -> None:
    rare = [f"agent-{index}" for index in range(1000)]
    assert drift_of(CATEGORY, rare, list(reversed(rare))) == pytest.approx(0.0, abs=1e-12)
    assert drift_of(CATEGORY, ["common"] * 500 + rare[:500], ["common"] * 500 + rare[500:]) < 0.2


@pytest.mark.statistical
def test_the_score_of_rewards_is_standard_normal_when_nothing_changed() -> None:
    seeded = random.Random(9)
    scores = []
    for _ in range(1000):
        samples = ([float(seeded.random() < 0.1) for _ in range(500)] for _ in range(2))
        scores.append(change_score(*map(Moments.of, samples)))
    assert statistics.stdev(scores) == pytest.approx(1.0, abs=0.1)
    assert sum(abs(score) > 3.29 for score in scores) <= 5, "one is expected; six or more once in 1,700"


def test_a_change_of_rewards_has_its_sign_and_constants_differ_wholly_or_not_at_all() -> None:
    low, high = Moments.of([0.0, 0.1] * 300), Moments.of([0.1, 0.2] * 300)
    assert change_score(low, high) == -change_score(high, low) > 3.29
    same = Moments.of([0.5] * 10)
    assert change_score(same, same) == 0.0
    assert change_score(same, Moments.of([0.25] * 10)) == -math.inf
    assert Moments.of([]) == Moments(0, 0.0, 0.0)
