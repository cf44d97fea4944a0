"""Evidence: the same bits however the log is cut, an average of two e-processes, nothing outside its bounds."""

import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.bets import GRID, Evidence, Position, baselines, stakes
from cxi_bandit.evidence.contrast import BoundExceeded, Bounds, Contrasts
from simulator.gate.unit import taken
from simulator.studies.gate_paths import staked
from simulator.studies.gate_worlds import World, greedy, rates

BOUNDS = Bounds(upper=40.0, lower=1.0, shortfall=0.2)


def some(number: int, seed: int = 0) -> Contrasts:
    rng = np.random.default_rng(seed)
    difference = rng.choice([-1.0, 0.0, 40.0], p=[0.8, 0.18, 0.02], size=number)
    shortfall = rng.uniform(0.0, 0.2, number)
    reward = rng.choice([0.0, 1.0, 0.3], size=number)
    return Contrasts(gain=difference * reward, tilt=difference + shortfall, reward=reward)


def naive(contrasts: Contrasts, delta: float) -> tuple[float, float]:
    """E_raw and E_cv exactly as the formula is written."""
    raw, cv, total = [1.0] * len(GRID), [1.0] * len(GRID), 0.0
    for t, (gain, tilt, reward) in enumerate(
        zip(contrasts.gain, contrasts.tilt, contrasts.reward, strict=True), start=1
    ):
        c = total / max(t - 1, 1)
        b_raw = 1.0 + max(delta, 0.0)
        b_cv = max(c * 40.0, (1 - c) * 1.0) + c * 0.2 + max(delta, 0.0)
        raw = [w * (1 + grid * (gain - delta) / b_raw) for w, grid in zip(raw, GRID, strict=True)]
        cv = [w * (1 + grid * (gain - c * tilt - delta) / b_cv) for w, grid in zip(cv, GRID, strict=True)]
        total += reward
    return sum(raw) / len(GRID), sum(cv) / len(GRID)


@pytest.mark.parametrize("delta", [-0.05, 0.0, 0.02])
def test_it_is_the_formula(delta: float) -> None:
    contrasts = some(400)
    evidence = Evidence(bounds=BOUNDS, delta=delta).extended(contrasts)
    raw, cv = naive(contrasts, delta)
    assert math.exp(evidence.log_e_raw) == pytest.approx(raw, rel=1e-7)
    assert math.exp(evidence.log_e_cv) == pytest.approx(cv, rel=1e-7)
    assert math.exp(evidence.log_e) == pytest.approx((raw + cv) / 2, rel=1e-7)


def test_the_grid_is_24_geometric_points() -> None:
    assert len(GRID) == 24
    assert GRID[0] == 1e-4
    assert GRID[-1] == pytest.approx(0.5, rel=1e-12)
    assert np.ptp(np.diff(np.log(GRID))) < 1e-12


@given(cuts=st.lists(st.integers(0, 20_000), max_size=12), seed=st.integers(0, 5))
def test_many_sittings_equal_one_bit_for_bit(cuts: list[int], seed: int) -> None:
    contrasts = some(20_000, seed)
    empty = Evidence(bounds=BOUNDS, delta=0.01)
    one = empty.extended(contrasts)
    edges = [0, *sorted(cuts), 20_000]
    sitting, merged = empty, empty
    for first, last in itertools.pairwise(edges):
        piece = taken(contrasts, slice(first, last))
        stored = msgspec.json.encode(sitting.extended(piece))
        sitting = msgspec.json.decode(stored, type=Evidence)
        merged = merged.merged(merged.continuation().extended(piece))
    assert sitting == one
    assert merged == one
    assert msgspec.json.encode(sitting) == msgspec.json.encode(one)


def test_merging_is_associative() -> None:
    contrasts = some(3000)
    first = Evidence(bounds=BOUNDS, delta=0.0).extended(taken(contrasts, slice(0, 1000)))
    second = first.continuation().extended(taken(contrasts, slice(1000, 1500)))
    third = second.continuation().extended(taken(contrasts, slice(1500, 3000)))
    assert first.merged(second).merged(third) == first.merged(second.merged(third))


def test_pieces_merge_in_order_only() -> None:
    first = Evidence(bounds=BOUNDS, delta=0.0).extended(some(10))
    with pytest.raises(InvalidInput, match="/start"):
        first.merged(first)
    with pytest.raises(InvalidInput, match="/bounds"):
        first.merged(Evidence(bounds=BOUNDS, delta=0.01, start=first.end, end=first.end))


def test_order_matters_to_the_baseline_but_not_to_e_raw() -> None:
    contrasts = some(500)
    shuffled = np.random.default_rng(9).permutation(500)
    other = Contrasts(gain=contrasts.gain[shuffled], tilt=contrasts.tilt[shuffled], reward=contrasts.reward[shuffled])
    empty = Evidence(bounds=BOUNDS, delta=0.0)
    assert empty.extended(contrasts).raw_log == empty.extended(other).raw_log
    assert empty.extended(contrasts).cv_log != empty.extended(other).cv_log


def test_the_baseline_never_sees_its_own_row() -> None:
    reward = np.array([1.0, 0.0, 1.0, 1.0])
    baseline, end = baselines(Position(), reward)
    assert baseline.tolist() == [0.0, 1.0, 0.5, pytest.approx(2 / 3)]
    changed, _ = baselines(Position(), np.array([1.0, 0.0, 1.0, 0.0]))
    assert changed.tolist() == baseline.tolist()
    assert end.units == 4


@given(
    baseline=st.floats(0.0, 1.0), reward=st.floats(0.0, 1.0), share=st.floats(0.0, 1.0), shortfall=st.floats(0.0, 0.2),
    delta=st.floats(-0.5, 0.5),
)  # fmt: skip
def test_no_bet_loses_more_than_it_stakes(
    baseline: float, reward: float, share: float, shortfall: float, delta: float
) -> None:
    difference = -BOUNDS.lower + share * (BOUNDS.upper + BOUNDS.lower)
    stake = stakes(
        np.array([difference * reward]), np.array([difference + shortfall]), np.array([baseline]), BOUNDS, delta
    )
    contrast = difference * (reward - baseline) - shortfall * baseline
    assert stake[0] >= -1.0
    assert stake[0] == pytest.approx(
        max((contrast - delta) / BOUNDS.scale(np.array([baseline]), delta)[0], -1.0), abs=1e-9
    )


@given(
    baseline=st.floats(0.0, 1.0), reward=st.floats(0.0, 1.0), difference=st.floats(-3.0, 7.0)
)  # fmt: skip
def test_mirrored_rewards_and_roles_give_the_mirrored_bet(baseline: float, reward: float, difference: float) -> None:
    c = np.array([baseline])
    here = stakes(np.array([difference * reward]), np.array([difference]), c, Bounds(upper=7.0, lower=3.0), 0.0)
    there = stakes(
        np.array([-difference * (1 - reward)]), np.array([-difference]), 1 - c, Bounds(upper=3.0, lower=7.0), 0.0
    )
    assert here[0] == pytest.approx(there[0], abs=1e-9)


@pytest.mark.parametrize("gain", [-1.01, 40.1, float("nan")])
def test_an_observation_beyond_the_bounds_is_an_error(gain: float) -> None:
    wild = Contrasts(gain=np.array([gain]), tilt=np.array([0.0]), reward=np.array([1.0]))
    with pytest.raises(BoundExceeded):
        Evidence(bounds=BOUNDS, delta=0.0).extended(wild)


def test_rewards_must_be_scaled() -> None:
    with pytest.raises(InvalidInput, match="/contrasts/reward"):
        Evidence(bounds=BOUNDS, delta=0.0).extended(
            Contrasts(gain=np.zeros(1), tilt=np.zeros(1), reward=np.array([1.5]))
        )


def test_a_larger_delta_never_adds_evidence() -> None:
    contrasts = some(2000)
    levels = [Evidence(bounds=BOUNDS, delta=d).extended(contrasts).log_e_raw for d in (-0.1, -0.01, 0.0)]
    assert levels == sorted(levels, reverse=True)


def test_the_study_bets_as_the_gate_does() -> None:
    world = World(logger=greedy(0), incumbent=greedy(0), candidate=greedy(1), reward=rates(0.1, 0.05))
    paths = world.paths(np.random.default_rng(4), 3, 500)
    wealth = np.prod(1 + staked(paths)[..., None] * np.array(GRID), axis=0).mean(axis=2)
    for run in range(3):
        contrasts = Contrasts(gain=paths.gain[:, run], tilt=paths.tilt[:, run], reward=paths.reward[:, run])
        evidence = Evidence(bounds=paths.bounds, delta=paths.delta).extended(contrasts)
        assert np.log(wealth[run]) == pytest.approx([evidence.log_e_raw, evidence.log_e_cv], abs=1e-6)
