"""Do logged propensities describe what was really drawn? Per action, from the log alone."""

import numpy as np
from scipy.stats import norm

from simulator.rounds import Float64s, LoggedRounds

# Below this many expected draws a normal approximation is no use; such actions are pooled.
LEAST_EXPECTED = 10.0
# Nor is it where one term of a sum outweighs this many of its standard deviations.
LARGEST_TERM = 0.2


def calibration_p(rounds: LoggedRounds) -> float | None:
    """Smallest two-sided p over actions and both tests, times their number (Bonferroni), at most 1; None if untestable.

    Per action a: N_a against Σ_t p_t(a), with variance Σ_t p_t(a)(1 - p_t(a)), where whole vectors were logged; and
    Σ_t 1{a_t = a}/p_t(a) against the rows where a could be drawn, with variance Σ_t (1/p_t(a) - 1), estimated from
    the drawn rows where only their propensities are known. Rare actions are pooled for the first test and left out of
    the second, where a single 1/p would decide. Read once: a monitor that is read repeatedly must be an e-value.
    """
    if not len(rounds):
        return None
    z = np.concatenate([_count_scores(rounds), _inverse_scores(rounds)])
    if not len(z):
        return None
    return min(1.0, float(2.0 * norm.sf(np.abs(z).max())) * len(z))


def _count_scores(rounds: LoggedRounds) -> Float64s:
    """(N_a - Σp)/sd per action with enough expected draws, the others pooled."""
    if rounds.probabilities is None:
        return np.empty(0)
    expected = rounds.probabilities.sum(axis=0, dtype=np.float64)
    squares = np.einsum("nk,nk->k", rounds.probabilities, rounds.probabilities).astype(np.float64)
    drawn = np.bincount(rounds.action, minlength=rounds.n_actions).astype(np.float64)
    common = expected >= LEAST_EXPECTED
    gap, variance = drawn - expected, expected - squares
    groups = [(gap[a], variance[a]) for a in np.flatnonzero(common)]
    if expected[~common].sum() >= LEAST_EXPECTED:
        # Pooled actions exclude each other within a row: the variance of the pool is Σ P(1 - P), P its mass.
        mass = rounds.probabilities[:, ~common].sum(axis=1, dtype=np.float64)
        groups.append((gap[~common].sum(), float(np.sum(mass * (1.0 - mass)))))
    return np.array([g / np.sqrt(v) for g, v in groups if v > 0])


def _inverse_scores(rounds: LoggedRounds) -> Float64s:
    """(Σ 1{a}/p - rows)/sd per action whose largest term cannot decide alone."""
    k = rounds.n_actions
    inverse = np.bincount(rounds.action, weights=1.0 / rounds.propensity, minlength=k)
    rows, spread, largest = np.zeros(k), np.zeros(k), np.zeros(k)
    if rounds.probabilities is None:
        rows += float(len(rounds)) if rounds.eligible is None else rounds.eligible.sum(axis=0)
        spread += np.bincount(rounds.action, weights=(1.0 - rounds.propensity) / rounds.propensity**2, minlength=k)
        np.maximum.at(largest, rounds.action, 1.0 / rounds.propensity)
    else:
        for a in range(k):
            p = rounds.probabilities[:, a].astype(np.float64)
            p = p[p > 0]
            if len(p):
                rows[a], spread[a], largest[a] = len(p), float(np.sum(1.0 / p - 1.0)), float(1.0 / p.min())
    usable = (spread > 0) & (largest <= LARGEST_TERM * np.sqrt(spread))
    scores: Float64s = (inverse - rows)[usable] / np.sqrt(spread[usable])
    return scores
