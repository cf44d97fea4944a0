"""Do logged propensities describe what was really drawn? Per action, from the log alone, by sums that can be merged."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import norm

from simulator.rounds import Bools, Float64s, Floats, LoggedRounds

# Below this many expected draws a normal approximation is no use; such actions are pooled.
LEAST_EXPECTED = 10.0
# Nor is it where one term of a sum outweighs this many of its standard deviations.
LARGEST_TERM = 0.2
# Rows of an (n, K) array handled at once, so that temporaries stay small beside the log itself.
_BLOCK_ROWS = 16_384


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibrationSums:
    """What both tests need of some rows; adding two equals having seen both. Arrays have shape (K,).

    Args:
        drawn: Rows in which each action was drawn.
        inverse: Σ 1{a_t = a}/p_t(a).
        rows: Rows in which each action could be drawn.
        spread: Variance of `inverse` under the logged propensities.
        largest: Largest 1/p.
        expected: Σ p_t(a); None where only propensities are known.
        squares: Σ p_t(a)²; None likewise.
        pooled: Σ P(1 - P), P the mass of the rare actions; None likewise.
        rare: Which actions `pooled` is about.
    """

    drawn: Float64s
    inverse: Float64s
    rows: Float64s
    spread: Float64s
    largest: Float64s
    expected: Float64s | None
    squares: Float64s | None
    pooled: float | None
    rare: Bools | None

    @classmethod
    def of(cls, rounds: LoggedRounds, rare: Bools | None = None) -> Self:
        """The sums over `rounds`.

        Args:
            rounds: The rows.
            rare: Actions to pool, shape (K,), decided on the whole log (`rare_actions`); None decides on these rows.
        """
        k = rounds.n_actions
        drawn = np.bincount(rounds.action, minlength=k).astype(np.float64)
        inverse = _by_action(rounds, 1.0 / rounds.propensity)
        if rounds.probabilities is None:
            could = np.full(k, len(rounds)) if rounds.eligible is None else rounds.eligible.sum(axis=0)
            largest = np.zeros(k)
            np.maximum.at(largest, rounds.action, 1.0 / rounds.propensity)
            return cls(
                drawn=drawn,
                inverse=inverse,
                rows=could.astype(np.float64),
                spread=_by_action(rounds, (1.0 - rounds.propensity) / rounds.propensity**2),
                largest=largest,
                expected=None,
                squares=None,
                pooled=None,
                rare=None,
            )
        expected = expected_draws(rounds.probabilities)
        rare = rare_actions(expected) if rare is None else rare
        rows, spread, largest, pooled = _whole_vectors(rounds.probabilities, rare)
        return cls(
            drawn=drawn,
            inverse=inverse,
            rows=rows,
            spread=spread,
            largest=largest,
            expected=expected,
            squares=np.einsum("nk,nk->k", rounds.probabilities, rounds.probabilities).astype(np.float64),
            pooled=pooled,
            rare=rare,
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            drawn=self.drawn + other.drawn,
            inverse=self.inverse + other.inverse,
            rows=self.rows + other.rows,
            spread=self.spread + other.spread,
            largest=np.maximum(self.largest, other.largest),
            expected=None if self.expected is None or other.expected is None else self.expected + other.expected,
            squares=None if self.squares is None or other.squares is None else self.squares + other.squares,
            pooled=None if self.pooled is None or other.pooled is None else self.pooled + other.pooled,
            rare=self.rare,
        )

    def p_value(self) -> float | None:
        """Smallest two-sided p over actions and both tests, times their number (Bonferroni), at most 1.

        Per action a: N_a against Σ_t p_t(a), with variance Σ_t p_t(a)(1 - p_t(a)), where whole vectors were logged; and
        Σ_t 1{a_t = a}/p_t(a) against the rows where a could be drawn, with variance Σ_t (1/p_t(a) - 1), estimated from
        the drawn rows where only their propensities are known. Rare actions are pooled for the first test and left out
        of the second, where a single 1/p would decide. Read once: a monitor that is read repeatedly must be an e-value.

        Returns:
            None where nothing can be tested.
        """
        z = np.concatenate([self._count_scores(), self._inverse_scores()])
        if not len(z):
            return None
        return min(1.0, float(2.0 * norm.sf(np.abs(z).max())) * len(z))

    def _count_scores(self) -> Float64s:
        """(N_a - Σp)/sd per action with enough expected draws, the others pooled."""
        if self.expected is None or self.squares is None or self.pooled is None or self.rare is None:
            return np.empty(0)
        gap, variance = self.drawn - self.expected, self.expected - self.squares
        groups = [(gap[a], variance[a]) for a in np.flatnonzero(~self.rare)]
        if self.expected[self.rare].sum() >= LEAST_EXPECTED:
            # Pooled actions exclude each other within a row: the variance of the pool is Σ P(1 - P), P its mass.
            groups.append((gap[self.rare].sum(), self.pooled))
        return np.array([g / np.sqrt(v) for g, v in groups if v > 0])

    def _inverse_scores(self) -> Float64s:
        """(Σ 1{a}/p - rows)/sd per action whose largest term cannot decide alone."""
        usable = (self.spread > 0) & (self.largest <= LARGEST_TERM * np.sqrt(self.spread))
        scores: Float64s = (self.inverse - self.rows)[usable] / np.sqrt(self.spread[usable])
        return scores


def calibration_p(rounds: LoggedRounds) -> float | None:
    """`CalibrationSums.p_value` of one log; None for an empty one."""
    return CalibrationSums.of(rounds).p_value() if len(rounds) else None


def expected_draws(probabilities: Floats) -> Float64s:
    """Σ_t p_t(a), shape (K,)."""
    total: Float64s = probabilities.sum(axis=0, dtype=np.float64)
    return total


def rare_actions(expected: Float64s) -> Bools:
    """Actions with too few expected draws for a test of their own, shape (K,)."""
    rare: Bools = expected < LEAST_EXPECTED
    return rare


def _by_action(rounds: LoggedRounds, values: Float64s) -> Float64s:
    return np.asarray(np.bincount(rounds.action, weights=values, minlength=rounds.n_actions), dtype=np.float64)


def _whole_vectors(probabilities: Floats, rare: Bools) -> tuple[Float64s, Float64s, Float64s, float]:
    """Rows with p > 0, Σ (1/p - 1) over them, the largest 1/p, each of shape (K,); and Σ P(1 - P) of the rare mass."""
    k = probabilities.shape[1]
    could, spread, largest, pooled = np.zeros(k), np.zeros(k), np.zeros(k), 0.0
    some_rare = bool(rare.any())
    for start in range(0, len(probabilities), _BLOCK_ROWS):
        p = probabilities[start : start + _BLOCK_ROWS].astype(np.float64)
        inverse = np.divide(1.0, p, out=np.zeros_like(p), where=p > 0)
        drawable = np.count_nonzero(p > 0, axis=0)
        could += drawable
        spread += inverse.sum(axis=0) - drawable
        np.maximum(largest, inverse.max(axis=0), out=largest)
        if some_rare:
            mass = p[:, rare].sum(axis=1)
            pooled += float(np.sum(mass * (1.0 - mass)))
    return could, spread, largest, pooled
