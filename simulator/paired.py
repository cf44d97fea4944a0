"""Differences between estimates on the same rows, with the interval that their dependence allows."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from scipy.stats import norm

from simulator.estimators import Estimator
from simulator.estimators.moments import Moments
from simulator.evaluate import EvaluationSettings
from simulator.reward_model import RewardModel, cross_fit, fit_on_same_rows
from simulator.rounds import Float64s, Floats, Ints, LoggedRounds, ScoredRounds

Readout = Callable[[Float64s], tuple[float, Float64s]]
"""Column means to a value and its gradient."""


@dataclass(frozen=True)
class Difference:
    """A smooth function of column means and its standard error, by shopper where the rows name shoppers.

    Args:
        standard_error: Reward units; nan below two units.
        units: Independent units behind it.
    """

    value: float
    standard_error: float
    units: int

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Value ± z·SE; None where there is none."""
        half = float(norm.ppf(0.5 + confidence / 2)) * self.standard_error
        return (self.value - half, self.value + half) if isfinite(half) and isfinite(self.value) else None


def scored(rounds: LoggedRounds, candidate: Floats, model: RewardModel, settings: EvaluationSettings) -> ScoredRounds:
    """The rounds with the candidate and the predictions that an evaluation with these settings would use."""
    if settings.cross_fit:
        q_hat = cross_fit(rounds, model, folds=settings.folds, seed=settings.seed, precision=candidate.dtype)
    else:
        q_hat = fit_on_same_rows(rounds, model)
    return ScoredRounds(rounds, candidate, q_hat)


def mean_of(values: Float64s, subject: Ints | None) -> Difference:
    """The mean of one number a row."""
    return _of(Moments.of((values,), subject), lambda means: (float(means[0]), np.ones(1)))


def change(kind: type[Estimator], before: ScoredRounds, after: ScoredRounds) -> Difference:
    """An estimate on `after` less the same on `before`, the very same rows with other rewards.

    By the delta method on the joint columns, g = (-∇f(ū), ∇f(v̄)), so that what the two share cancels.
    """
    estimator = kind()
    first, second = estimator.columns(before), estimator.columns(after)
    split = len(first)

    def read(means: Float64s) -> tuple[float, Float64s]:
        value = float(estimator.readout(means[split:]) - estimator.readout(means[:split]))
        return value, np.concatenate((-estimator.gradient(means[:split]), estimator.gradient(means[split:])))

    return _of(Moments.of((*first, *second), before.subject), read)


def effects(batch: ScoredRounds) -> Float64s:
    """Each row's doubly robust effect of the candidate over the log: dm + w(r - q̂) - r, shape (n,), reward units.

    Its mean estimates V(candidate) - V(logging policy); Dudík et al. (2014), doi:10.1214/14-STS500.
    """
    effect: Float64s = batch.dm + batch.weight * batch.residual - batch.reward
    return effect


def _of(moments: Moments, read: Readout) -> Difference:
    value, gradient = read(moments.mean)
    if moments.subjects is None:
        units, variance = moments.n, moments.variance_by_row(gradient)
    else:
        units, variance = len(moments.subjects.codes), moments.variance_by_subject(gradient)
    return Difference(value, float(np.sqrt(variance)), units)
