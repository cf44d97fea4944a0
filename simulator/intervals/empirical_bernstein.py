"""A finite-sample interval from the empirical variance and a declared range."""

from math import log, sqrt

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators.estimator import MeanEstimator
from simulator.intervals.interval import Interval, check_confidence


def empirical_bernstein(
    estimator: MeanEstimator, score_range: tuple[float, float], confidence: float = 0.95
) -> Interval:
    """Mean ± (√(2 s² ln(4/alpha)/n) + 7 R ln(4/alpha) / (3(n - 1))), R the width of `score_range`.

    Args:
        estimator: One whose result is a mean of per-row scores; ratios have no such bound.
        score_range: Declared range of a row's score in reward units (`ScoreBound.over(w_max)`).
        confidence: Both sides together; each side spends alpha/2.

    Raises:
        InvalidInput: `estimator` is not a mean.

    Maurer and Pontil (2009), arXiv:0907.3740, theorem 4, applied to both sides.
    """
    if not isinstance(estimator, MeanEstimator):
        raise InvalidInput("interval", "empirical_bernstein bounds a mean of scores, and this estimate is a ratio")
    alpha = check_confidence(confidence)
    assumptions = "rows are independent; every row's score lies in the declared range; one look at a fixed n"
    lo, hi = score_range
    moments = estimator.moments
    if moments is None or moments.n < 2:  # noqa: PLR2004 - a variance needs two rows
        return Interval("empirical_bernstein", lo, hi, confidence, assumptions)
    n, mean = moments.n, float(moments.mean[0])
    variance = float(moments.comoments[0, 0]) / (n - 1)
    log_term = log(4.0 / alpha)
    half = sqrt(2.0 * variance * log_term / n) + 7.0 * (hi - lo) * log_term / (3.0 * (n - 1))
    return Interval("empirical_bernstein", max(lo, mean - half), min(hi, mean + half), confidence, assumptions)
