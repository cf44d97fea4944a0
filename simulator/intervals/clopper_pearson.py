"""The binomial interval on weight-scaled counts; kept for comparison."""

from scipy.stats import beta

from simulator.estimators.ips import Ips
from simulator.intervals.interval import Interval, check_confidence


def clopper_pearson(estimator: Ips, w_max: float, confidence: float = 0.95) -> Interval:
    """Clopper-Pearson with Σ w·r / w_max successes in n / w_max trials, for rewards in [0, 1].

    Exact only when every weight is 1 and every reward 0 or 1: on the candidate's own log. Otherwise a rule of thumb
    that pretends all rows weigh as much as the heaviest. It treats Σ w·r / w_max as a binomial of n / w_max trials;
    where weights are 0 or w_max it is one of n trials, whose variance is (1 - θ/w_max)/(1 - θ) times as large: nine
    times at θ = .9 and w_max = 10, where a nominal 95 % covered about 50 %. Clopper and Pearson (1934),
    doi:10.1093/biomet/26.4.404.

    Args:
        estimator: IPS over rewards in [0, 1].
        w_max: Largest weight; here, unlike elsewhere, the log's own maximum is customary.
        confidence: Both sides together.
    """
    alpha = check_confidence(confidence)
    assumptions = (
        "rewards lie in [0, 1]; every row weighs as much as the heaviest (a rule of thumb); rows are independent; one "
        "look at a fixed n"
    )
    moments = estimator.moments
    if moments is None or not w_max > 0:
        return Interval("clopper_pearson", 0.0, 1.0, confidence, assumptions)
    trials = moments.n / w_max
    successes = min(float(moments.mean[0]), 1.0) * trials
    lo = float(beta.ppf(alpha / 2, successes, trials - successes + 1)) if successes > 0 else 0.0
    hi = float(beta.ppf(1 - alpha / 2, successes + 1, trials - successes)) if successes < trials else 1.0
    return Interval("clopper_pearson", lo, hi, confidence, assumptions)
