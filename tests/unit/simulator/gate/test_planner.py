"""The planner: formula, monotonicity, and a variance that matches draws."""

import math

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from simulator.gate.planner import plan, predicted_variance, units_needed, visible_effect
from simulator.studies.gate_worlds import World, greedy, rates


def test_it_is_the_formula() -> None:
    assert units_needed(0.02, variance=2.0, alpha=0.05) == math.ceil(3 * math.log(20) * 2.0 / 0.02**2)
    assert units_needed(0.02, variance=2.0, alpha=0.05, constant=2.0) == math.ceil(2 * math.log(20) * 2.0 / 0.02**2)


def test_plans_are_whole_weeks() -> None:
    found = plan(0.02, variance=2.0, alpha=0.05, units_per_day=1000)
    assert found.units[0] < found.units[1]
    assert found.days == (35, 49)
    assert plan(0.5, variance=0.1, alpha=0.05, units_per_day=1e6).days == (7, 7)


def test_what_is_visible_is_what_the_plan_says() -> None:
    effect = visible_effect(28, variance=2.0, alpha=0.05, units_per_day=1000)
    assert units_needed(effect, variance=2.0, alpha=0.05) == pytest.approx(28_000, abs=1)


def test_low_noise_is_limited_by_the_largest_stake() -> None:
    assert units_needed(0.1, variance=1e-9, alpha=0.05, scale=1.0) == math.ceil(math.log(20) / math.log1p(0.05))


def test_the_variance_is_known_before_any_reward() -> None:
    world = World(logger=greedy(0), incumbent=greedy(0), candidate=greedy(1), reward=rates(0.1))
    paths = world.paths(np.random.default_rng(0), 100, 40_000)
    predicted = predicted_variance(
        logged=greedy(0)[None], incumbent=greedy(0)[None], candidate=greedy(1)[None], weight_cap=50.0, rate=0.1
    )
    assert predicted == pytest.approx(float(np.var(paths.gain - 0.1 * paths.tilt)), rel=0.05)


@pytest.mark.parametrize("fields", [{"effect": 0.0}, {"variance": -1.0}, {"alpha": 1.0}])
def test_nonsense_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        units_needed(**({"effect": 0.1, "variance": 1.0, "alpha": 0.05} | fields))
