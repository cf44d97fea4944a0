"""The smoothed mean, and cross-fitting that never lets a model see what it predicts."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from simulator.reward_model import SmoothedMean, cross_fit, fit_on_same_rows, fold_of_rows
from simulator.rounds import Float64s, Ints, LoggedRounds


def log_of(n: int = 60, subject: np.ndarray | None = None) -> LoggedRounds:
    rng = np.random.default_rng(0)
    return LoggedRounds(
        actions=("a", "b", "c"),
        action=rng.integers(0, 3, n),
        propensity=np.full(n, 1 / 3),
        reward=rng.random(n),
        logged_at=np.arange(n, dtype=np.float64),
        position=rng.integers(0, 2, n),
        subject=subject,
    )


def test_smoothed_mean_is_its_formula() -> None:
    rounds = log_of()
    q_hat = fit_on_same_rows(rounds, SmoothedMean())
    assert rounds.position is not None
    for row in range(len(rounds)):
        for action in range(3):
            cell = (rounds.action == action) & (rounds.position == rounds.position[row])
            expected = (rounds.reward[cell].sum() + 10 * rounds.reward.mean()) / (cell.sum() + 10)
            assert q_hat[row, action] == pytest.approx(expected)


def test_weights_have_no_scale_and_zero_weights_drop_rows() -> None:
    rounds, rows = log_of(), np.arange(60)
    weight = np.random.default_rng(1).random(60)
    one = SmoothedMean().fit(rounds, rows, weight).predict(rounds, rows)
    assert SmoothedMean().fit(rounds, rows, 1000 * weight).predict(rounds, rows) == pytest.approx(one)
    strong = SmoothedMean(0.0).fit(rounds, rows, (rows < 30).astype(float)).predict(rounds, rows)
    assert strong == pytest.approx(SmoothedMean(0.0).fit(rounds, rows[:30]).predict(rounds, rows))
    unweighted = SmoothedMean().fit(rounds, rows).predict(rounds, rows)
    assert SmoothedMean().fit(rounds, rows, np.zeros(60)).predict(rounds, rows) == pytest.approx(unweighted)


def test_unseen_slots_and_empty_fits_get_the_overall_mean() -> None:
    rounds = log_of()
    assert rounds.position is not None
    model = SmoothedMean().fit(rounds, np.flatnonzero(rounds.position == 0))
    later = replace(rounds, position=rounds.position + 5)
    mean = rounds.reward[rounds.position == 0].mean()
    assert model.predict(later, np.arange(3)) == pytest.approx(np.full((3, 3), mean))
    assert SmoothedMean().fit(rounds, np.arange(0)).predict(rounds, np.arange(2)).tolist() == [[0.0] * 3] * 2
    with pytest.raises(InvalidInput, match="fitted"):
        SmoothedMean().predict(rounds, np.arange(1))


@dataclass(frozen=True)
class Tattler:
    """Predicts, for every row, the largest row number it was fitted on, and remembers which rows those were."""

    seen: frozenset[int] = frozenset()

    def fit(self, rounds: LoggedRounds, rows: Ints, weight: Float64s | None = None) -> Self:
        del rounds
        assert weight is None or len(weight) == len(rows)
        return type(self)(frozenset(rows.tolist()))

    def predict(self, rounds: LoggedRounds, rows: Ints) -> Float64s:
        overlap = [float(row in self.seen) for row in rows.tolist()]
        return np.repeat(np.array(overlap)[:, None], rounds.n_actions, axis=1)


def test_no_model_predicts_a_row_it_was_fitted_on() -> None:
    rounds = log_of()
    assert cross_fit(rounds, Tattler(), folds=5).sum() == 0.0
    assert cross_fit(rounds, Tattler(), folds=5, weight=np.ones(60)).sum() == 0.0
    assert fit_on_same_rows(rounds, Tattler()).all()


def test_folds_are_even_seeded_and_keep_subjects_whole() -> None:
    rounds = log_of()
    fold = fold_of_rows(rounds, 5, 0)
    assert np.bincount(fold).tolist() == [12] * 5
    assert fold.tolist() == fold_of_rows(rounds, 5, 0).tolist()
    assert fold.tolist() != fold_of_rows(rounds, 5, 1).tolist()
    subject = np.arange(60) // 3
    named = fold_of_rows(log_of(subject=subject), 5, 0)
    assert all(len(set(named[subject == s])) == 1 for s in range(20))
    with pytest.raises(InvalidInput, match="folds"):
        fold_of_rows(rounds, 1, 0)


def test_tiny_logs_are_cross_fitted_too() -> None:
    assert cross_fit(log_of(3), SmoothedMean(), folds=5).shape == (3, 3)
    assert cross_fit(log_of().take(slice(0, 0)), SmoothedMean()).shape == (0, 3)
