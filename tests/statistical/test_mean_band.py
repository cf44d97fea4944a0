"""The overview's band holds at all moments together, and is of use."""

from collections.abc import Callable

import numpy as np
import pytest

from cxi_bandit.evidence.mean_band import RewardSums, difference_band, mean_band

pytestmark = pytest.mark.statistical

RUNS = 400
HOURS = 100
ALPHA = 0.05

Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]
HOUR = np.arange(HOURS)
DAYS = [hour // 24 for hour in range(HOURS)]
STEADY = np.full(HOURS, 0.3)
DAILY = 0.3 + 0.2 * np.sin(2 * np.pi * HOUR / 24)


def bernoulli(rng: np.random.Generator, means: np.ndarray) -> np.ndarray:
    return (rng.random(len(means)) < means).astype(np.float64)


def spread_out(rng: np.random.Generator, means: np.ndarray) -> np.ndarray:
    return rng.beta(means * 5, (1 - means) * 5)


def hourly(
    rng: np.random.Generator, means: np.ndarray, per_hour: int, draw: Draw
) -> tuple[list[RewardSums], np.ndarray]:
    """Sums by hour, and after each hour the average of the means so far."""
    sizes = rng.poisson(per_hour, HOURS)
    stretches = []
    for size, mean in zip(sizes, means, strict=True):
        drawn = draw(rng, np.full(size, mean))
        stretches.append(RewardSums(number=size, total=float(drawn.sum()), squares=float(drawn @ drawn)))
    return stretches, np.cumsum(sizes * means) / np.maximum(np.cumsum(sizes), 1)


@pytest.mark.parametrize("per_hour", [2, 60])
@pytest.mark.parametrize("means", [STEADY, DAILY, np.full(HOURS, 0.01)], ids=["steady", "daily", "rare"])
@pytest.mark.parametrize("draw", [bernoulli, spread_out])
def test_the_band_holds_at_all_hours_together(means: np.ndarray, per_hour: int, draw: Draw) -> None:
    """At most 5 % of runs may fail at any hour; at exactly 5 %, 36 or more of 400 would with probability below .001."""
    rng = np.random.default_rng(1)
    failed = 0
    for _ in range(RUNS):
        stretches, truth = hourly(rng, means, per_hour, draw)
        band = mean_band(stretches, (0.0, 1.0), ALPHA, DAYS)
        failed += bool(np.any((band.low > truth + 1e-9) | (band.high < truth - 1e-9)))
    assert failed < 36


def test_an_effect_shows_and_none_does_not() -> None:
    """500 an hour served, 25 held back: a tenth more is found in 100 hours in most runs, and falsely in few."""
    rng = np.random.default_rng(2)
    found = {0.3: 0, 0.4: 0}
    for mean in found:
        for _ in range(RUNS // 4):
            served, _ = hourly(rng, np.full(HOURS, mean), 500, bernoulli)
            held, _ = hourly(rng, STEADY, 25, bernoulli)
            bands = [mean_band(arm, (0.0, 1.0), ALPHA / 2, DAYS) for arm in (served, held)]
            band = difference_band(*bands)
            found[mean] += bool(np.any(band.low > 0.0))
    assert found[0.3] <= 5
    assert found[0.4] >= 95


def test_a_fixed_interval_looked_at_every_hour_would_not_hold() -> None:
    """Why it has to be a sequence: the usual 95 % interval excludes the truth at some hour in far more runs."""
    rng = np.random.default_rng(3)
    failed = 0
    for _ in range(RUNS):
        stretches, _ = hourly(rng, STEADY, 60, bernoulli)
        number = np.cumsum([one.number for one in stretches])
        mean = np.cumsum([one.total for one in stretches]) / number
        failed += bool(np.any(np.abs(mean - 0.3) > 1.96 * np.sqrt(mean * (1 - mean) / number)))
    assert failed / RUNS > 0.2
