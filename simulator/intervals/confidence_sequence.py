"""An interval for IPS that holds at every sample size at once, however often it is looked at."""

from math import log, nan

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammainc, gammaln

from cxi_bandit.domain.errors import InvalidInput
from simulator.intervals.interval import Interval, ScoreBound, check_confidence
from simulator.rounds import Float64s, ScoredRounds

# Shape of the mixing distribution over bets: 1 spreads them evenly. It decides at which n the bound is tightest.
RHO = 1.0


class ConfidenceSequence:
    """Anytime-valid interval for the mean of w·r, from the gamma-exponential mixture supermartingale.

    With X_t = w_t·(r_t - r_min)/(r_max - r_min) ≥ 0, a predictable guess X̂_t = (½ + Σ_{s<t} X_s)/t, S = Σ X_t and
    V = Σ (X_t - X̂_t)², the mixture wealth at μ is

        ln M(μ) = x - a ln x + ln gamma(a, x) - (rho - rho ln rho + ln gamma(rho, rho)),
        a = V + rho,  x = S - tμ + V + rho,  gamma the lower incomplete gamma function,

    a supermartingale at the true μ because e^{λ(x - x̂) - ψ(λ)(x - x̂)²…} is one for x ≥ 0 whatever the weights' size;
    the lower end is the μ where it reaches 2/alpha. The upper end mirrors it with w·(r_max - r). No w_max is needed.

    Rows must come in decision order: X̂ depends on the past. Merging therefore joins a stretch of rows to the one right
    after it, which must know from the start how many rows come before it; V is a quadratic in the sum of the earlier
    X, whose coefficients are kept.
    Howard, Ramdas, McAuliffe, Sekhon (2021), doi:10.1214/20-AOS1991, proposition 9; Waudby-Smith et al. (2022),
    arXiv:2210.10768.

    Args:
        reward_range: Declared (smallest, largest) reward.
        start: Rows of the log before the first one seen here.
    """

    def __init__(self, reward_range: tuple[float, float] = (0.0, 1.0), start: int = 0) -> None:
        self.bound = ScoreBound(reward_range)
        self.start = start
        self.n = 0
        self._below = _OneSide()
        self._above = _OneSide()

    def update(self, batch: ScoredRounds) -> None:
        """Take in the next batch in decision order.

        Raises:
            InvalidInput: A reward lies outside its declared range.
        """
        if not len(batch):
            return
        r_lo, r_hi = self.bound.reward_range
        reward = (batch.reward - r_lo) / (r_hi - r_lo)
        if reward.min() < 0.0 or reward.max() > 1.0:
            raise InvalidInput("reward_range", f"the log holds rewards outside [{r_lo:g}, {r_hi:g}]")
        self._below.update(batch.weight * reward, self.start + self.n)
        self._above.update(batch.weight * (1.0 - reward), self.start + self.n)
        self.n += len(batch)

    def merge(self, later: "ConfidenceSequence") -> "ConfidenceSequence":
        """A new accumulator that has seen these rows and then those of `later`.

        Raises:
            InvalidInput: `later` does not start where this one ends, or has another reward range.
        """
        if later.start != self.start + self.n or later.bound != self.bound:
            raise InvalidInput("interval", f"rows from {later.start} do not follow rows up to {self.start + self.n}")
        merged = ConfidenceSequence(self.bound.reward_range, self.start)
        merged.n = self.n + later.n
        merged._below = self._below.joined(later._below)  # noqa: SLF001 - the same class
        merged._above = self._above.joined(later._above)  # noqa: SLF001 - the same class
        return merged

    def __add__(self, later: "ConfidenceSequence") -> "ConfidenceSequence":
        return self.merge(later)

    def result(self, confidence: float = 0.95) -> Interval:
        """The interval now; all the intervals it ever gave hold together with probability `confidence`.

        The ends are computed apart, from w·r and from w·(1 - r), whose means sum to 1 only if the propensities are
        true. Where the lower end comes out above the upper one no value is left, and both are nan.
        """
        alpha = check_confidence(confidence)
        r_lo, r_hi = self.bound.reward_range
        assumptions = (
            f"each row's propensity is true given the past; rewards lie in [{r_lo:g}, {r_hi:g}]; rows come in decision "
            "order, one decision a shopper or shoppers alike; holds however often it is looked at"
        )
        if self.n == 0:
            return Interval("confidence_sequence", r_lo, r_hi, confidence, assumptions)
        lo = self._below.lower_bound(self.n, alpha / 2)
        hi = 1.0 - self._above.lower_bound(self.n, alpha / 2)
        if lo > hi:
            refuted = f"{assumptions}; these data contradict that: no value is compatible with them"
            return Interval("confidence_sequence", nan, nan, confidence, refuted)
        width = r_hi - r_lo
        return Interval("confidence_sequence", r_lo + lo * width, r_lo + hi * width, confidence, assumptions)


class _OneSide:
    """S and V of one non-negative sequence; behind earlier rows of sum T, V is spread - 2·linear·T + square·T²."""

    def __init__(self) -> None:
        self.total = 0.0
        self.spread = 0.0
        self.linear = 0.0
        self.square = 0.0

    def update(self, x: Float64s, seen: int) -> None:
        """Take in x, shape (n,), after `seen` earlier rows."""
        before = self.total + np.concatenate(([0.0], np.cumsum(x)[:-1]))
        share = 1.0 / (seen + 1 + np.arange(len(x)))
        surprise = x - (before + 0.5) * share
        self.spread += float(surprise @ surprise)
        self.linear += float(surprise @ share)
        self.square += float(share @ share)
        self.total += float(x.sum())

    def joined(self, later: "_OneSide") -> "_OneSide":
        """These rows and then those of `later`."""
        both = _OneSide()
        both.total = self.total + later.total
        both.spread = self.spread + later.spread - 2.0 * later.linear * self.total + later.square * self.total**2
        both.linear = self.linear + later.linear - later.square * self.total
        both.square = self.square + later.square
        return both

    def lower_bound(self, n: int, alpha: float) -> float:
        """Smallest μ in [0, 1] not yet ruled out at level `alpha`."""
        threshold = -log(alpha)
        if _log_wealth(self.total, self.spread) <= threshold:
            return 0.0
        highest = min(1.0, self.total / n)
        if _log_wealth(self.total - n * highest, self.spread) >= threshold:
            return highest
        crossing = brentq(lambda mu: _log_wealth(self.total - n * mu, self.spread) - threshold, 0.0, highest)
        return float(crossing)


def _log_wealth(s: float, v: float) -> float:
    """The log of M at s = S - tμ ≥ 0 and V = v."""

    def log_lower_gamma(a: float, x: float) -> float:
        return log(gammainc(a, x)) + float(gammaln(a))

    a, x = v + RHO, s + v + RHO
    return s + v + RHO * log(RHO) - a * log(x) + log_lower_gamma(a, x) - log_lower_gamma(RHO, RHO)
