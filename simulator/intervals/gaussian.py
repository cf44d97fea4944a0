"""The normal interval from an estimate's influence function."""

from scipy.stats import norm

from simulator.estimators.estimator import PointEstimate
from simulator.intervals.interval import Interval, check_confidence


def gaussian(estimate: PointEstimate, confidence: float = 0.95) -> Interval:
    """Value ± z·SE, SE from the influence function, by subject where the log names subjects.

    For a mean SE² = s²/n with n - 1 degrees of freedom; ratios (SNIPS, SNDR) are linearised by the delta method. Good
    where many rows share the weight and the reward is not rare: at a reward rate of 0.4 % and n = 10,000 a nominal
    95 % covered 40 %. Van der Vaart (1998), "Asymptotic Statistics", chapters 3 and 20.
    """
    alpha = check_confidence(confidence)
    half = float(norm.ppf(1.0 - alpha / 2)) * estimate.standard_error
    unit = "subjects are" if estimate.unit == "subject" else "rows are"
    assumptions = (
        f"{unit} independent; n is large enough for the mean of w·r to be normal (it is not when rewards are rare or a "
        "few rows carry the weight); one look at a fixed n"
    )
    return Interval("gaussian", estimate.value - half, estimate.value + half, confidence, assumptions)
