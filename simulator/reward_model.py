"""Reward models for the doubly robust family: the protocol, a smoothed mean, and cross-fitting."""

from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.rounds import Float64s, Floats, Ints, LoggedRounds


class RewardModel(Protocol):
    """Anything that predicts a reward for every action of a round.

    `rows` are indices into `rounds`, so that a model may keep contexts of its own beside the log and look them up.
    """

    def fit(self, rounds: LoggedRounds, rows: Ints, weight: Float64s | None = None) -> "RewardModel":
        """A model fitted on `rows` alone, leaving this one as it was; a fit must not depend on any other row's reward.

        Args:
            rounds: The log.
            rows: Indices to fit on, shape (m,).
            weight: Weight of each of `rows`, shape (m,), non-negative, any scale; None weighs them equally.
        """
        ...

    def predict(self, rounds: LoggedRounds, rows: Ints) -> Floats:
        """q̂(x_i, a) for i in `rows` and every action, shape (m, K), finite, in reward units."""
        ...


@dataclass(frozen=True, eq=False)
class SmoothedMean:
    """q̂(a, pos) = (Σ r + κ·r̄) / (shows + κ): each action's mean in its slot, drawn towards the overall mean r̄.

    Args:
        strength: κ, how many shows the overall mean is worth.
        table: Fitted means, shape (K, slots).
        overall: Fitted r̄, predicted for slots never seen.
    """

    strength: float = 10.0
    table: Float64s | None = field(default=None, repr=False)
    overall: float = 0.0

    def fit(self, rounds: LoggedRounds, rows: Ints, weight: Float64s | None = None) -> Self:
        """Count shows and rewards on `rows`; weights are scaled to mean 1, so that κ keeps its meaning."""
        reward, action = rounds.reward[rows], rounds.action[rows]
        position = np.zeros_like(action) if rounds.position is None else rounds.position[rows]
        if len(reward) == 0:
            return type(self)(self.strength, np.zeros((rounds.n_actions, 1)), 0.0)
        mass = np.ones(len(reward)) if weight is None else weight
        if not mass.sum() > 0:
            mass = np.ones(len(reward))
        mass = mass / mass.mean()
        slots = int(position.max()) + 1
        cell = action * slots + position
        shows = np.bincount(cell, weights=mass, minlength=rounds.n_actions * slots)
        total = np.bincount(cell, weights=mass * reward, minlength=rounds.n_actions * slots)
        overall = float(np.average(reward, weights=mass))
        table = (total + self.strength * overall) / (shows + self.strength)
        return type(self)(self.strength, table.reshape(rounds.n_actions, slots), overall)

    def predict(self, rounds: LoggedRounds, rows: Ints) -> Float64s:
        """Look the means up, shape (m, K)."""
        if self.table is None:
            raise InvalidInput("reward_model", "must be fitted before it predicts")
        position = np.zeros(len(rows), dtype=np.intp) if rounds.position is None else rounds.position[rows]
        # One row past the seen slots holds the overall mean.
        by_slot = np.vstack([self.table.T, np.full((1, rounds.n_actions), self.overall)])
        return by_slot[np.minimum(position, len(by_slot) - 1)]


def fold_of_rows(rounds: LoggedRounds, folds: int, seed: int) -> Ints:
    """Fold of each row, shape (n,): folds of equal size, and all of a subject's rows in one fold.

    A shopper's rows resemble each other; were they split, a model could memorise the shopper and the residuals would
    look smaller than they are.
    """
    if folds < 2:  # noqa: PLR2004 - one fold would be fitted on nothing
        raise InvalidInput("folds", "cross-fitting needs at least 2 folds")
    unit = np.arange(len(rounds)) if rounds.subject is None else np.unique(rounds.subject, return_inverse=True)[1]
    units = int(unit.max()) + 1 if len(unit) else 0
    fold_of_unit = np.random.default_rng(seed).permutation(units) % folds
    return fold_of_unit[unit]


def cross_fit(
    rounds: LoggedRounds,
    model: RewardModel,
    *,
    folds: int = 5,
    seed: int = 0,
    weight: Float64s | None = None,
    precision: np.dtype[np.floating] | None = None,
) -> Floats:
    """q̂ for every row from a model that never saw the row's fold, shape (n, K).

    Args:
        rounds: The log.
        model: Unfitted.
        folds: How many models are fitted.
        seed: Of the assignment to folds.
        weight: Fitting weight of each row, shape (n,).
        precision: Type of the result; None takes the model's. Single precision halves the largest array of all.

    Chernozhukov et al. (2018), doi:10.1111/ectj.12097.
    """
    fold = fold_of_rows(rounds, folds, seed)
    q_hat: Floats | None = None
    for k in range(folds):
        held_out, others = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        if not len(held_out):
            continue
        predicted = model.fit(rounds, others, None if weight is None else weight[others]).predict(rounds, held_out)
        if q_hat is None:
            q_hat = np.empty((len(rounds), rounds.n_actions), dtype=precision or predicted.dtype)
        q_hat[held_out] = predicted
    return np.empty((0, rounds.n_actions)) if q_hat is None else q_hat


def fit_on_same_rows(rounds: LoggedRounds, model: RewardModel, *, weight: Float64s | None = None) -> Floats:
    """q̂ from one model fitted on the rows it predicts, shape (n, K).

    Its residuals are smaller than they should be; for comparison with tools that do so.
    """
    rows = np.arange(len(rounds))
    return model.fit(rounds, rows, weight).predict(rounds, rows)
