"""What a log knows of its own quality beside its rows: whether outcomes are complete and decisions were shown."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from cxi_bandit.domain.evaluation import Check, Level
from simulator.rounds import Bools, Float64s, Floats, Ints, LoggedRounds
from simulator.thresholds import RATE_GAP, THRESHOLDS

# Ages are compared within this many equal groups: a younger outcome is rightly less complete.
AGE_GROUPS = 4
# A difference in rates counts when chance alone would show one this large, in any cell, with this probability.
RATE_ALPHA = 0.01


@dataclass(frozen=True, eq=False, kw_only=True)
class LogQuality:
    """What else is known about the log; each part is checked where given.

    Args:
        rescored: The incumbent's probabilities computed again, shape (n, K).
        completed: Whether the outcome was complete at the close of its window, shape (n,).
        evidence: By how much reward events moved each row's reward from what it would be without any, shape (n,). A
            reward that is only a default less a price says nothing about shoppers, so where this is given the reward
            ESS counts it instead of the reward.
        activated: Whether the decision was shown, shape (n,), or (m,) of the decisions in `answered`.
        answered: Action and time of the decisions that `activated` is about, each (m,); None where they are the rows.
        minimum_completeness: The manifest's least share of complete outcomes.
        minimum_activation: The manifest's least share of activated decisions.
    """

    rescored: Floats | None = None
    completed: Bools | None = None
    evidence: Float64s | None = None
    activated: Bools | None = None
    answered: tuple[Ints, Float64s] | None = None
    minimum_completeness: float = 0.0
    minimum_activation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How complete outcomes are and how often decisions were shown; each gap is None where nobody knows.

    Args:
        completeness: Held against its limits.
        completeness_gap: Largest difference between an action and its peers of the same age.
        activation: Held against its limits.
        activation_gap: Likewise.
    """

    completeness: Check
    completeness_gap: float | None
    activation: Check
    activation_gap: float | None


def rates_of(rounds: LoggedRounds, quality: LogQuality) -> Rates:
    """The rates of a whole log: an age is a rank among all of its rows."""
    drawn = rounds.action, rounds.logged_at
    completeness = _rate_gap(*drawn, rounds.n_actions, quality.completed)
    activation = _rate_gap(*(quality.answered or drawn), rounds.n_actions, quality.activated)
    return Rates(
        completeness=_rate_check("completeness", completeness, quality.completed, quality.minimum_completeness),
        completeness_gap=None if completeness is None else completeness[0],
        activation=_rate_check("activation", activation, quality.activated, quality.minimum_activation),
        activation_gap=None if activation is None else activation[0],
    )


def _rate_gap(action: Ints, logged_at: Float64s, n_actions: int, happened: Bools | None) -> tuple[float, bool] | None:
    """Largest |rate of an action - rate of all actions| within an age group, and whether any gap is beyond chance."""
    if happened is None or not len(action):
        return None
    rank = np.argsort(np.argsort(logged_at, kind="stable"), kind="stable")
    cell = rank * AGE_GROUPS // len(action) * n_actions + action
    shape = (AGE_GROUPS, n_actions)
    rows = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    hits = np.bincount(cell, weights=happened.astype(np.float64), minlength=shape[0] * shape[1]).reshape(shape)
    rate = hits / np.maximum(rows, 1)
    peers = hits.sum(axis=1, keepdims=True) / np.maximum(rows.sum(axis=1, keepdims=True), 1)
    gap = np.where(rows > 0, np.abs(rate - peers), 0.0)
    error = np.sqrt(peers * (1.0 - peers) / np.maximum(rows, 1))
    limit = float(norm.isf(RATE_ALPHA / 2 / np.count_nonzero(rows)))
    beyond = (gap > RATE_GAP) & (gap > limit * error)
    return float(gap[beyond].max() if beyond.any() else gap.max()), bool(beyond.any())


def _rate_check(code: str, gap: tuple[float, bool] | None, happened: Bools | None, minimum: float) -> Check:
    threshold = THRESHOLDS[code]
    if gap is None or happened is None:
        return threshold.check(None)
    rate = float(happened.mean())
    if rate < minimum:
        return Check(
            code=code,
            value=rate,
            level=Level.REFUSE,
            message=f"The {code} rate is {rate:.1%}, below the manifest's minimum of {minimum:.1%}.",
            remedy=threshold.remedy,
        )
    return threshold.check(gap[0], Level.AMBER if gap[1] else Level.OK)
