"""What every estimator must do on any log, before any number is compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators import (
    ESTIMATORS,
    ClippedIps,
    DirectMethod,
    DoublyRobust,
    DrOs,
    Estimator,
    Ips,
    SelfNormalisedDoublyRobust,
    SgDr,
    Snips,
    SwitchDr,
)
from simulator.estimators.balanced import Balanced
from simulator.estimators.moments import Moments
from simulator.mixture import mixture_propensity
from simulator.rounds import LoggedRounds, ScoredRounds

K = 4
NAMES = tuple(ESTIMATORS)


def random_batch(seed: int, n: int, *, subjects: bool = False, dtype: type[np.floating] = np.float64) -> ScoredRounds:
    rng = np.random.default_rng(seed)
    probabilities = 0.8 * rng.dirichlet(np.ones(K), n) + 0.2 / K
    action = np.array([rng.choice(K, p=p) for p in probabilities], dtype=np.int64).reshape(n)
    rounds = LoggedRounds(
        actions=tuple("abcd"),
        action=action,
        propensity=probabilities[np.arange(n), action],
        reward=rng.normal(size=n),
        logged_at=np.arange(n, dtype=np.float64),
        subject=rng.integers(0, max(n // 3, 1), n) if subjects else None,
        probabilities=probabilities,
    )
    mixture = np.clip(rounds.propensity * rng.uniform(0.7, 1.3, n), 0.01, 1.0)
    candidate = rng.dirichlet(np.ones(K), n).astype(dtype)
    return ScoredRounds(rounds, candidate, rng.normal(size=(n, K)).astype(dtype), mixture)


def ran(kind: type[Estimator], batch: ScoredRounds, *options: float) -> Estimator:
    estimator = kind(*options)
    estimator.update(batch)
    return estimator


def value(kind: type[Estimator], batch: ScoredRounds, *options: float) -> float:
    return ran(kind, batch, *options).result().value


def with_reward(batch: ScoredRounds, reward: np.ndarray, q_hat: np.ndarray | None) -> ScoredRounds:
    rounds = LoggedRounds(
        actions=batch.rounds.actions,
        action=batch.rounds.action,
        propensity=batch.rounds.propensity,
        reward=reward,
        logged_at=batch.rounds.logged_at,
    )
    return ScoredRounds(rounds, batch.candidate, q_hat, batch.mixture_propensity)


seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(4, 60)


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, n=sizes, cut=st.floats(0, 1), subjects=st.booleans())
@settings(max_examples=15, deadline=None)
def test_merging_equals_one_batch(name: str, seed: int, n: int, cut: float, subjects: bool) -> None:
    batch, kind, at = random_batch(seed, n, subjects=subjects), ESTIMATORS[name], int(cut * n)
    parts = ran(kind, batch.take(slice(0, at))) + ran(kind, batch.take(slice(at, n)))
    whole = ran(kind, batch).result()
    merged = parts.result()
    assert merged.value == pytest.approx(whole.value, rel=1e-9, abs=1e-12)
    assert merged.standard_error == pytest.approx(whole.standard_error, rel=1e-9, abs=1e-9, nan_ok=True)
    assert (merged.n, merged.units, merged.unit) == (whole.n, whole.units, whole.unit)


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, n=sizes)
@settings(max_examples=10, deadline=None)
def test_order_of_rows_changes_nothing(name: str, seed: int, n: int) -> None:
    batch = random_batch(seed, n, subjects=True)
    shuffled = batch.take(np.random.default_rng(seed).permutation(n))
    one, other = ran(ESTIMATORS[name], batch).result(), ran(ESTIMATORS[name], shuffled).result()
    assert other.value == pytest.approx(one.value, rel=1e-9, abs=1e-12)
    assert other.standard_error == pytest.approx(one.standard_error, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, n=sizes)
@settings(max_examples=10, deadline=None)
def test_negated_rewards_mirror(name: str, seed: int, n: int) -> None:
    batch = random_batch(seed, n)
    mirrored = with_reward(batch, -batch.reward, -batch.q_hat)
    one, other = ran(ESTIMATORS[name], batch).result(), ran(ESTIMATORS[name], mirrored).result()
    assert other.value == pytest.approx(-one.value, rel=1e-9, abs=1e-12)
    assert other.standard_error == pytest.approx(one.standard_error, rel=1e-9, abs=1e-9, nan_ok=True)


@given(seed=seeds, n=sizes)
@settings(max_examples=20, deadline=None)
def test_limits_meet_their_neighbours(seed: int, n: int) -> None:
    batch = random_batch(seed, n)
    no_model = batch.with_predictions(np.zeros((n, K)))
    close = {"rel": 1e-9, "abs": 1e-12}
    assert value(DoublyRobust, no_model) == pytest.approx(value(Ips, batch), **close)
    assert value(SelfNormalisedDoublyRobust, no_model) == pytest.approx(value(Snips, batch), **close)
    for kind in (SwitchDr, DrOs):
        assert value(kind, batch, np.inf) == pytest.approx(value(DoublyRobust, batch), **close)
        assert value(kind, batch, 0.0) == pytest.approx(value(DirectMethod, batch), **close)
    assert value(SgDr, batch, 0.0) == pytest.approx(value(DoublyRobust, batch), **close)
    assert value(ClippedIps, batch, np.inf) == pytest.approx(value(Ips, batch), **close)
    own = ScoredRounds(batch.rounds, batch.candidate)
    assert value(Balanced, own) == pytest.approx(value(Ips, batch), **close)


@given(seed=seeds, n=sizes)
@settings(max_examples=20, deadline=None)
def test_the_logging_policy_is_worth_its_mean_reward(seed: int, n: int) -> None:
    batch = random_batch(seed, n)
    own = ScoredRounds(batch.rounds, batch.rounds.probabilities)
    for kind in (Ips, Snips, ClippedIps):
        assert value(kind, own) == pytest.approx(batch.reward.mean(), rel=1e-9, abs=1e-12)


@given(seed=seeds, n=sizes, constant=st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_a_constant_reward_gives_itself(seed: int, n: int, constant: float) -> None:
    batch = random_batch(seed, n)
    flat = with_reward(batch, np.full(n, constant), np.full((n, K), constant))
    assert value(Snips, flat) == pytest.approx(constant, rel=1e-9, abs=1e-12)
    assert value(SelfNormalisedDoublyRobust, flat) == pytest.approx(constant, rel=1e-9, abs=1e-12)
    other_model = with_reward(batch, np.full(n, constant), np.zeros((n, K)))
    assert value(SelfNormalisedDoublyRobust, other_model) == pytest.approx(constant, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_more_data_tightens(name: str) -> None:
    few, many = random_batch(1, 200), random_batch(1, 5000)
    assert ran(ESTIMATORS[name], many).result().standard_error < ran(ESTIMATORS[name], few).result().standard_error / 2


@pytest.mark.parametrize("name", NAMES)
def test_standard_error_is_that_of_the_influence_function(name: str) -> None:
    """A numerical derivative with respect to each row's weight in the sample, squared and summed."""
    batch, n, step = random_batch(5, 80), 80, 1e-6
    estimator = ESTIMATORS[name]()
    columns = np.stack(estimator.columns(batch), axis=1)
    influence = []
    for i in range(n):
        mass = np.full(n, (1.0 - step) / n)
        mass[i] += step
        influence.append((estimator.readout(mass @ columns) - estimator.readout(columns.mean(axis=0))) / step)
    expected = np.sqrt(np.sum(np.square(influence)) / n / (n - 1))
    estimator.update(batch)
    assert estimator.result().standard_error == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_one_subject_count_once(name: str) -> None:
    """Every row logged twice under one subject: the clustered error equals that of the rows logged once."""
    batch = random_batch(3, 300)
    twice = np.repeat(np.arange(300), 2)
    doubled = batch.take(twice)
    named = ScoredRounds(
        LoggedRounds(
            actions=doubled.rounds.actions,
            action=doubled.rounds.action,
            propensity=doubled.rounds.propensity,
            reward=doubled.rounds.reward,
            logged_at=doubled.rounds.logged_at,
            subject=twice,
        ),
        doubled.candidate,
        doubled.q_hat,
        doubled.mixture_propensity,
    )
    once, clustered = ran(ESTIMATORS[name], batch).result(), ran(ESTIMATORS[name], named).result()
    assert clustered.unit == "subject"
    assert clustered.units == 300
    assert clustered.standard_error == pytest.approx(once.standard_error, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_seen_is_no_number(name: str) -> None:
    result = ESTIMATORS[name]().result()
    assert np.isnan(result.value)
    assert (result.n, result.units) == (0, 0)
    empty = ESTIMATORS[name]()
    empty.update(random_batch(0, 4).take(slice(0, 0)))
    assert np.isnan((empty + ESTIMATORS[name]()).result().value)


@pytest.mark.parametrize("name", NAMES)
def test_float32_inputs_agree(name: str) -> None:
    single, double = random_batch(9, 500, dtype=np.float32), random_batch(9, 500)
    assert value(ESTIMATORS[name], single) == pytest.approx(value(ESTIMATORS[name], double), rel=1e-4, abs=1e-5)


def test_no_overlap_is_no_number_rather_than_zero() -> None:
    batch = random_batch(2, 20)
    elsewhere = np.zeros((20, K))
    elsewhere[np.arange(20), (batch.rounds.action + 1) % K] = 1.0
    scored = ScoredRounds(batch.rounds, elsewhere, batch.q_hat)
    for kind in (Snips, SelfNormalisedDoublyRobust):
        result = ran(kind, scored).result()
        assert np.isnan(result.value)
        assert np.isnan(result.standard_error)


def test_only_equals_are_merged() -> None:
    with pytest.raises(InvalidInput, match="merged"):
        SwitchDr(1.0).merge(SwitchDr(2.0))
    with pytest.raises(InvalidInput, match="merged"):
        Ips().merge(Snips())


@pytest.mark.parametrize(("kind", "lam"), [(ClippedIps, -1.0), (SgDr, 1.0), (SwitchDr, float("nan"))])
def test_a_lambda_outside_its_range_is_refused(kind: type[Estimator], lam: float) -> None:
    with pytest.raises(InvalidInput, match="lambda"):
        kind(lam)


def test_mixture_of_one_version_is_that_version() -> None:
    batch = random_batch(4, 30)
    mixed = mixture_propensity(batch.rounds.propensity[None, :], np.array([1.0]))
    assert mixed == pytest.approx(batch.rounds.propensity)
    with pytest.raises(InvalidInput, match="sum to 1"):
        mixture_propensity(batch.rounds.propensity[None, :], np.array([0.5]))


def test_variance_survives_a_large_offset() -> None:
    """Sums of squares would lose every digit here."""
    column = 1e9 + np.array([0.0, 1.0, 2.0, 3.0])
    halves = Moments.of((column[:2],)) + Moments.of((column[2:],))
    assert halves.variance_by_row(np.ones(1)) == pytest.approx(np.var(column - 1e9, ddof=1) / 4)
