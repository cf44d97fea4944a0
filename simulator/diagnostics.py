"""What must be read before any estimate: overlap, support, honest propensities, complete outcomes; when to refuse."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from cxi_bandit.domain.evaluation import Diagnostics, Level
from simulator.calibration import calibration_p
from simulator.log_quality import LogQuality, Rates, rates_of
from simulator.pareto_tail import pareto_k
from simulator.rounds import Float64s, Floats, Ints, LoggedRounds, ScoredRounds
from simulator.thresholds import (
    MEAN_WEIGHT_AMBER_Z,
    MEAN_WEIGHT_REFUSE_GAP,
    MEAN_WEIGHT_REFUSE_Z,
    THRESHOLDS,
)

# Rows of an (n, K) array handled at once, so that temporaries stay small beside the log itself.
BLOCK_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The numbers behind a log's diagnostics, however they were computed. None where the log cannot tell.

    Args:
        n: Rows, at least 1.
        subjects: Distinct shoppers.
        ess: Effective sample size of the weights.
        reward_ess: Of the weighted rewards.
        failure_ess: Of what the weighted rewards lack of the highest declared one.
        second_moment: Mean of Σ_{a: p>0} π_e²/p over the logged vectors.
        unsupported: Mean mass of π_e where the log could not go.
        mean_weight: w̄.
        weight_variance: Of the weights, with n - 1 degrees of freedom; None below 2 rows.
        max_weight: The largest.
        row_share: Largest row's share of the correction.
        subject_share: Largest shopper's share of the correction.
        calibration: p-value of drawn against logged frequencies.
        rescoring_gap: Largest difference between logged vectors and those computed again.
        tail: Shape of the weights' tail.
    """

    n: int
    subjects: int | None
    ess: float
    reward_ess: float
    failure_ess: float
    second_moment: float | None
    unsupported: float | None
    mean_weight: float
    weight_variance: float | None
    max_weight: float
    row_share: float | None
    subject_share: float | None
    calibration: float | None
    rescoring_gap: float | None
    tail: float | None


def diagnose(batch: ScoredRounds, quality: LogQuality | None = None, highest_reward: float = 1.0) -> Diagnostics:
    """Every diagnostic of `batch`, with its level. Uses q̂ where the batch has predictions, else q̂ = 0.

    Args:
        batch: The rows.
        quality: What else is known about them.
        highest_reward: Declared, in reward units: what a row has less is its failure.
    """
    quality = quality or LogQuality()
    n, rounds = len(batch), batch.rounds
    if n == 0:
        return no_rows()
    weight = batch.weight
    residual = batch.reward if batch.q_hat is None else batch.residual
    second_moment, unsupported = logged_overlap(batch)
    row_share, subject_share = _shares(np.abs(weight * residual), batch.subject)
    # Good news and bad news are both evidence: they must not cancel.
    informative = batch.reward if quality.evidence is None else np.abs(quality.evidence)
    findings = Findings(
        n=n,
        subjects=None if batch.subject is None else len(np.unique(batch.subject)),
        ess=effective_size(weight),
        reward_ess=effective_size(weight * informative),
        failure_ess=effective_size(weight * lacking(batch.reward, highest_reward)),
        second_moment=second_moment,
        unsupported=unsupported,
        mean_weight=float(weight.mean()),
        weight_variance=float(weight.var(ddof=1)) if n > 1 else None,
        max_weight=float(weight.max()),
        row_share=row_share,
        subject_share=subject_share,
        calibration=calibration_p(rounds),
        rescoring_gap=None if quality.rescored is None else largest_gap(rounds, quality.rescored),
        tail=pareto_k(weight),
    )
    return held_against_limits(findings, rates_of(rounds, quality))


def no_rows() -> Diagnostics:
    """Of an empty log: there is nothing to evaluate."""
    return Diagnostics(n=0, checks=(THRESHOLDS["rows"].check(0.0),))


def held_against_limits(found: Findings, rates: Rates | None = None) -> Diagnostics:
    """The diagnostics of `found`, each check with its level; without `rates` theirs say that nothing was measured."""
    n = found.n
    predicted = None
    if found.second_moment is not None:
        predicted = n / found.second_moment if found.second_moment > 0 else 0.0
    z = _mean_weight_z(found)
    checks = (
        THRESHOLDS["rows"].check(float(n)),
        THRESHOLDS["ess"].check(found.ess),
        THRESHOLDS["ess_share"].check(found.ess / n),
        THRESHOLDS["predicted_ess"].check(predicted),
        THRESHOLDS["predicted_ess_share"].check(None if predicted is None else predicted / n),
        THRESHOLDS["reward_ess"].check(found.reward_ess),
        THRESHOLDS["failure_ess"].check(found.failure_ess),
        THRESHOLDS["max_row_share"].check(found.row_share),
        THRESHOLDS["max_subject_share"].check(found.subject_share),
        THRESHOLDS["mean_weight"].check(found.mean_weight, _mean_weight_level(found.mean_weight, z)),
        THRESHOLDS["support"].check(found.unsupported),
        THRESHOLDS["calibration"].check(found.calibration),
        THRESHOLDS["rescoring"].check(found.rescoring_gap),
        THRESHOLDS["completeness"].check(None) if rates is None else rates.completeness,
        THRESHOLDS["activation"].check(None) if rates is None else rates.activation,
        THRESHOLDS["pareto_k"].check(found.tail),
    )
    return Diagnostics(
        n=n,
        subjects=found.subjects,
        ess=found.ess,
        predicted_ess=predicted,
        reward_ess=found.reward_ess,
        failure_ess=found.failure_ess,
        mean_weight=found.mean_weight,
        mean_weight_z=z,
        max_weight=found.max_weight,
        max_row_share=found.row_share,
        max_subject_share=found.subject_share,
        unsupported_mass=found.unsupported,
        calibration_p=found.calibration,
        rescoring_gap=found.rescoring_gap,
        completeness_gap=None if rates is None else rates.completeness_gap,
        activation_gap=None if rates is None else rates.activation_gap,
        pareto_k=found.tail,
        checks=checks,
    )


def effective_size(values: Float64s) -> float:
    """(Σv)²/Σv², the number of equal values that would average as steadily; 0 where all are 0."""
    square = float(values @ values)
    return float(values.sum()) ** 2 / square if square > 0 else 0.0


def lacking(reward: Float64s, highest: float) -> Float64s:
    """By how much each reward misses the highest declared one, shape (n,); one above it misses it as well."""
    missing: Float64s = np.abs(highest - reward)
    return missing


def logged_overlap(batch: ScoredRounds) -> tuple[float | None, float | None]:
    """The mean of Σ_{a: p>0} π_e²/p, the predicted second moment of w, and the mean mass of π_e where p = 0."""
    rounds, n = batch.rounds, len(batch)
    if rounds.probabilities is None:
        if rounds.eligible is None:
            return None, None
        inside = np.einsum("nk,nk->", batch.candidate, rounds.eligible, dtype=np.float64)
        return None, max(0.0, 1.0 - float(inside) / n)
    second, outside = 0.0, 0.0
    for start in range(0, n, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        pi, p = batch.candidate[rows], rounds.probabilities[rows]
        ratio = np.divide(pi, p, out=np.zeros_like(pi, dtype=np.result_type(pi, p)), where=p > 0)
        second += float(np.einsum("nk,nk->", pi, ratio, dtype=np.float64))
        outside += float(pi.sum(where=p == 0, dtype=np.float64))
    return second / n, outside / n


def _mean_weight_z(found: Findings) -> float | None:
    """(w̄ - 1) in standard errors, predicted from the logged vectors where there are any."""
    if found.second_moment is not None:
        # Mass the log could not reach is missing from the mean of w as well.
        variance: float | None = max(found.second_moment - (1.0 - (found.unsupported or 0.0)) ** 2, 0.0)
    else:
        variance = found.weight_variance
    if variance is None or variance <= 0.0:
        return None
    return (found.mean_weight - 1.0) / sqrt(variance / found.n)


def _mean_weight_level(mean: float, z: float | None) -> Level:
    if z is None:
        # Weights that do not vary must all be 1.
        return Level.OK if abs(mean - 1.0) <= MEAN_WEIGHT_REFUSE_GAP else Level.REFUSE
    if abs(mean - 1.0) > MEAN_WEIGHT_REFUSE_GAP and abs(z) > MEAN_WEIGHT_REFUSE_Z:
        return Level.REFUSE
    return Level.AMBER if abs(z) > MEAN_WEIGHT_AMBER_Z else Level.OK


def _shares(correction: Float64s, subject: Ints | None) -> tuple[float | None, float | None]:
    """The largest row's and the largest subject's share of Σ|w(r - q̂)|; None where the sum is 0."""
    total = float(correction.sum())
    if total == 0.0:
        return None, None
    row = float(correction.max()) / total
    if subject is None:
        return row, None
    _, index = np.unique(subject, return_inverse=True)
    return row, float(np.bincount(index, weights=correction).max()) / total


def largest_gap(rounds: LoggedRounds, rescored: Floats) -> float:
    """Largest |logged - rescored| over whole vectors, or at the logged action where only that was logged."""
    if rounds.probabilities is None:
        again = rescored[np.arange(len(rounds)), rounds.action]
        return float(np.abs(again - rounds.propensity).max())
    blocks = range(0, len(rounds), BLOCK_ROWS)
    pairs = ((rounds.probabilities[b : b + BLOCK_ROWS], rescored[b : b + BLOCK_ROWS]) for b in blocks)
    return max(float(np.abs(logged - again).max()) for logged, again in pairs)
