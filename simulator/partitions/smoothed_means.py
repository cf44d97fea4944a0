"""The smoothed-mean reward model from sums over partitions: the tables of the whole log, cross-fitted or not."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from simulator.rounds import Float64s, Floats, Ints, LoggedRounds

SAME_ROWS = 1
"""One fold: the model is fitted on the rows it predicts."""


def fold_of_rows(rounds: LoggedRounds, first_row: int, folds: int, seed: int) -> Ints:
    """Fold of each row, shape (m,), from a hash of its shopper, or of its number where the log names none.

    All of a shopper's rows share a fold wherever they are stored; folds are of equal size on average, not exactly.

    Args:
        rounds: The rows.
        first_row: Number of the first of them in the whole log.
        folds: How many; 1 puts every row in the same.
        seed: Another seed gives other folds.
    """
    if folds == SAME_ROWS:
        return np.zeros(len(rounds), dtype=np.intp)
    unit = np.arange(first_row, first_row + len(rounds)) if rounds.subject is None else rounds.subject
    return (_mixed(unit.astype(np.int64).view(np.uint64), seed) % np.uint64(folds)).astype(np.intp)


def _mixed(unit: np.ndarray[tuple[int], np.dtype[np.uint64]], seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195): every bit moves every bit."""
    start = ((seed % 2**64 + 1) * 0x9E3779B97F4A7C15) % 2**64
    x = unit + np.uint64(start)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


@dataclass(frozen=True, eq=False)
class MeanSums:
    """Weighted shows and rewards by fold, slot and action; adding two equals having seen both.

    Args:
        count: Rows of each fold, shape (F,).
        mass: Their weights, shape (F,).
        shows: Weights by slot and action, shape (F, S, K).
        rewards: Weighted rewards likewise.
    """

    count: Float64s
    mass: Float64s
    shows: Float64s
    rewards: Float64s

    @classmethod
    def of(cls, rounds: LoggedRounds, fold: Ints, folds: int, weight: Float64s | None) -> Self:
        """The sums over `rounds`, whose rows are in `fold`, shape (m,)."""
        position = np.zeros(len(rounds), dtype=np.intp) if rounds.position is None else rounds.position
        slots = int(position.max(initial=0)) + 1
        shape = (folds, slots, rounds.n_actions)
        cell = (fold * slots + position) * rounds.n_actions + rounds.action
        count = np.asarray(np.bincount(fold, minlength=folds), dtype=np.float64)
        shows = np.asarray(np.bincount(cell, weights=weight, minlength=np.prod(shape).item()), dtype=np.float64)
        earned = rounds.reward if weight is None else rounds.reward * weight
        rewards = np.asarray(np.bincount(cell, weights=earned, minlength=shows.size), dtype=np.float64)
        mass = count if weight is None else np.bincount(fold, weights=weight, minlength=folds)
        return cls(count, np.asarray(mass, dtype=np.float64), shows.reshape(shape), rewards.reshape(shape))

    def __add__(self, other: Self) -> Self:
        slots = max(self.shows.shape[1], other.shows.shape[1])
        return type(self)(
            self.count + other.count,
            self.mass + other.mass,
            _with_slots(self.shows, slots) + _with_slots(other.shows, slots),
            _with_slots(self.rewards, slots) + _with_slots(other.rewards, slots),
        )


@dataclass(frozen=True, eq=False)
class SmoothedMeans:
    """q̂(a, slot) of every fold, fitted on the other folds, or on all rows where there is but one fold.

    Args:
        tables: Predictions, shape (F, S + 1, K); the last slot stands for all that were never seen.
    """

    tables: Float64s

    @classmethod
    def fitted(cls, sums: MeanSums, unweighted: MeanSums, strength: float) -> Self:
        """(Σ w r + κ·r̄) / (Σ w + κ) with weights scaled to mean 1, as `SmoothedMean` has it.

        Args:
            sums: Under the fitting weights.
            unweighted: Stands in where all of a fold's fitting weights are 0.
            strength: κ.
        """
        folds = len(sums.count)
        tables = []
        for fold in range(folds):
            others = np.arange(folds) != fold if folds > SAME_ROWS else np.ones(1, dtype=np.bool_)
            used = sums if sums.mass[others].sum() > 0 else unweighted
            tables.append(_table(used, others, strength))
        return cls(np.stack(tables))

    def predict(self, rounds: LoggedRounds, fold: Ints, precision: np.dtype[np.floating]) -> Floats:
        """Predictions for rows in `fold`, shape (m,), as an array of shape (m, K) of type `precision`."""
        _, slots, k = self.tables.shape
        index = fold * slots
        index = index + (0 if rounds.position is None else np.minimum(rounds.position, slots - 1))
        table: Floats = self.tables.reshape(-1, k).astype(precision)
        predicted: Floats = np.take(table, index, axis=0)
        return predicted


def _table(sums: MeanSums, folds: np.ndarray[tuple[int], np.dtype[np.bool_]], strength: float) -> Float64s:
    """One fold's table with its row for unseen slots, shape (S + 1, K)."""
    mass, k = float(sums.mass[folds].sum()), sums.shows.shape[2]
    if mass == 0.0:
        return np.zeros((sums.shows.shape[1] + 1, k))
    scale = float(sums.count[folds].sum()) / mass
    rewards = sums.rewards[folds].sum(axis=0)
    overall = float(rewards.sum()) / mass
    table = (rewards * scale + strength * overall) / (sums.shows[folds].sum(axis=0) * scale + strength)
    return np.vstack([table, np.full((1, k), overall)])


def _with_slots(values: Float64s, slots: int) -> Float64s:
    return np.pad(values, ((0, 0), (0, slots - values.shape[1]), (0, 0)))
