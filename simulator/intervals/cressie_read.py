"""Empirical likelihood with the Cressie-Read(-2) divergence: an interval that knows the weights must average to 1."""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Self

import numpy as np
from scipy.stats import f

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators.estimator import MeanEstimator
from simulator.estimators.moments import Moments
from simulator.intervals.interval import Interval, ScoreBound, check_confidence
from simulator.rounds import ScoredRounds


@dataclass(frozen=True)
class WeightRange:
    """Declared range of importance weights, from floors and catalogues, never the log's own extremes.

    Args:
        lo: Smallest possible weight, below 1.
        hi: Largest possible weight, above 1: max π_e / min p; infinity where no floor is known, at the price of width.
    """

    lo: float = 0.0
    hi: float = inf

    def __post_init__(self) -> None:
        if not 0.0 <= self.lo < 1.0 < self.hi:
            raise InvalidInput("weight_range", f"({self.lo}, {self.hi}) must satisfy 0 ≤ lo < 1 < hi")


ROUNDING = 1e-9


class CressieRead:
    """A mergeable accumulator of the CR(-2) interval around a mean of scores z.

    All distributions near the empirical one (plus one unseen row at a weight w₀, with the worst score it could have)
    that give E[w] = 1 are considered; the interval holds their E[z]. With means, variances and covariance over
    the N = n + 1 rows, each end is closed form:

        z̄ + (1 - w̄)·C_wz/V_w  ∓  √( (V_z - C_wz²/V_w) · ((D₀ + F)/N - (1 - w̄)²/V_w) )

    the regression of z on w read at w = 1, less the divergence left over: F is the 1 - alpha quantile of F(1, n), and
    D₀ = N(1 - w̄)²/V_w the divergence E[w] = 1 costs by itself. The worse of w₀ = w_min and w₀ = w_max is reported,
    clipped to the reward range. Six sums suffice: n, Σw, Σw², Σz, Σwz, Σz².

    For z = w·r (IPS) this is Karampatziakis, Langford, Mineiro (2020), arXiv:1906.03323. For z = dm + w·(r - q̂) (DR)
    it is our own extension, with the unseen row's score bounded through the range of q̂.

    Args:
        estimator: A mean of scores weighted by w: ips, dr or mrdr; it is not updated.
        weight_range: Declared.
        reward_range: Declared; a reward outside it is refused.
    """

    def __init__(
        self, estimator: MeanEstimator, weight_range: WeightRange, reward_range: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        if estimator.name not in {"ips", "dr", "mrdr"}:
            raise InvalidInput("interval", f"cressie_read is defined for ips, dr and mrdr, not for {estimator.name}")
        self.estimator = estimator
        self.weight_range = weight_range
        self.bound = ScoreBound(reward_range)
        self.moments: Moments | None = None

    def update(self, batch: ScoredRounds) -> None:
        """Take in a batch.

        Raises:
            InvalidInput: A weight or reward lies outside its declared range.
        """
        if not len(batch):
            return
        weight, reward = batch.weight, batch.reward
        # A ratio of floats may exceed the declared ratio by rounding alone.
        slack = 1.0 + 1e-9
        if weight.max() > self.weight_range.hi * slack or weight.min() * slack < self.weight_range.lo:
            raise InvalidInput("weight_range", f"the log holds weights in [{weight.min():g}, {weight.max():g}]")
        r_lo, r_hi = self.bound.reward_range
        if reward.min() < r_lo or reward.max() > r_hi:
            raise InvalidInput("reward_range", f"the log holds rewards in [{reward.min():g}, {reward.max():g}]")
        seen = Moments.of((weight, *self.estimator.columns(batch), reward))
        self.moments = seen if self.moments is None else self.moments + seen
        if self.estimator.name != "ips":
            self.bound = _widened(self.bound, batch.q_range)

    def merge(self, other: Self) -> Self:
        """A new accumulator that has seen what both have seen."""
        if (other.estimator.name, other.weight_range) != (self.estimator.name, self.weight_range):
            raise InvalidInput("interval", "only accumulators of one estimator and weight range can be merged")
        merged = type(self)(self.estimator, self.weight_range, self.bound.reward_range)
        merged.bound = self.bound if other.bound.q_range is None else _widened(self.bound, other.bound.q_range)
        seen = [m for m in (self.moments, other.moments) if m is not None]
        merged.moments = seen[0] + seen[1] if len(seen) == 2 else (seen[0] if seen else None)  # noqa: PLR2004 - both
        return merged

    def __add__(self, other: Self) -> Self:
        return self.merge(other)

    def result(self, confidence: float = 0.95) -> Interval:
        """The interval from everything seen so far."""
        alpha = check_confidence(confidence)
        r_lo, r_hi = self.bound.reward_range
        lo, hi = r_lo, r_hi
        if self.moments is not None:
            lo = min(max(self._lower_end(self.moments, 1.0, alpha), r_lo), r_hi)
            hi = max(min(-self._lower_end(self.moments, -1.0, alpha), r_hi), r_lo)
        assumptions = (
            f"rows are independent; weights lie in [{self.weight_range.lo:g}, {self.weight_range.hi:g}] and average to "
            f"1 (true propensities and support); rewards lie in [{r_lo:g}, {r_hi:g}]; n is large; one look at a fixed n"
        )
        if self.estimator.name != "ips":
            assumptions += "; the reward model was fitted on other rows; our own extension of the published interval"
        return Interval("cressie_read", lo, hi, confidence, assumptions)

    def point(self) -> float:
        """The CR(-2) estimate for z = w·r: E[w] = 1 is enforced, and the unseen row scores the mean reward."""
        if self.moments is None:
            return float("nan")
        n, mean = self.moments.n, self.moments.mean
        unseen = self._likely_unseen_weight()
        if unseen == inf:
            # The limit: the unseen row takes all of the missing weight and the logged rows keep 1/n each.
            slope, level = 0.0, 1.0 / n
        else:
            pooled = self.moments + _unseen_row(unseen, 0.0)
            slope = (1.0 - float(pooled.mean[0])) / _variance(pooled, 0) / pooled.n
            level = 1.0 / pooled.n - slope * float(pooled.mean[0])
        # Σ q_i w_i and Σ q_i z_i over the logged rows, under q_i = level + slope·w_i.
        second = self.moments.comoments[0] + n * mean[0] * mean
        mass, value = level * n * mean[:2] + slope * second[:2]
        return float(value + max(0.0, 1.0 - float(mass)) * mean[2])

    def _lower_end(self, moments: Moments, sign: float, alpha: float) -> float:
        """Lower end of the interval for sign·z, the worse of both unseen rows; -∞ where neither is feasible."""
        quantile = float(f.isf(alpha, 1, moments.n)) / (moments.n + 1)
        budget = _regress(moments, self._likely_unseen_weight(), 0.0, 0.0).divergence + quantile
        ends = []
        for weight in (self.weight_range.lo, self.weight_range.hi):
            side = 0 if sign > 0 else 1
            fit = _regress(moments, weight, self.bound.at(0.0)[side], self.bound.slope[side])
            left = budget - fit.divergence
            # Rounding alone may push an exactly spent budget below zero.
            if left >= -ROUNDING * quantile:
                ends.append(sign * fit.centre - sqrt(max(fit.residual_variance * left, 0.0)))
        return min(ends, default=-inf)

    def _likely_unseen_weight(self) -> float:
        """The weight an unseen row must have had to bring the mean weight to 1."""
        below = self.moments is not None and self.moments.mean[0] < 1.0
        return self.weight_range.hi if below else self.weight_range.lo


@dataclass(frozen=True)
class _Regression:
    """z regressed on w over the logged rows and one unseen row.

    Args:
        centre: Fitted z at w = 1.
        residual_variance: Of z around the line.
        divergence: (1 - w̄)²/V_w, what E[w] = 1 costs per row.
    """

    centre: float
    residual_variance: float
    divergence: float


def _regress(moments: Moments, weight: float, at_zero: float, slope: float) -> _Regression:
    """Regress with an unseen row at w = `weight`, z = `at_zero` + `slope`·w; an infinite weight is the limit."""
    # In u = z - slope·w the unseen row is ordinary however heavy it is; in z its square would swallow every digit.
    contrast = np.array([[1.0, 0.0, 0.0], [-slope, 1.0, 0.0], [0.0, 0.0, 1.0]])
    logged = Moments(moments.n, contrast @ moments.mean, contrast @ moments.comoments @ contrast.T)
    if weight == inf:
        n = moments.n
        return _Regression(slope + float(logged.mean[1]), _variance(logged, 1) * n / (n + 1), 1.0 / n)
    pooled = logged + _unseen_row(weight, at_zero)
    v_w, c_wu, v_u = _variance(pooled, 0), float(pooled.comoments[0, 1]) / pooled.n, _variance(pooled, 1)
    gap, centre = 1.0 - float(pooled.mean[0]), slope + float(pooled.mean[1])
    if v_w == 0.0:
        return _Regression(centre, v_u, 0.0 if gap == 0.0 else inf)
    return _Regression(centre + gap * c_wu / v_w, max(v_u - c_wu**2 / v_w, 0.0), gap**2 / v_w)


def _unseen_row(weight: float, score: float) -> Moments:
    # The reward column plays no part in the ends, and `point` reads it from the logged rows alone.
    return Moments(1, np.array([weight, score, 0.0]), np.zeros((3, 3)))


def _variance(pooled: Moments, column: int) -> float:
    return float(pooled.comoments[column, column]) / pooled.n


def _widened(bound: ScoreBound, q_range: tuple[float, float]) -> ScoreBound:
    lo, hi = bound.q_range or q_range
    return ScoreBound(bound.reward_range, (min(lo, q_range[0]), max(hi, q_range[1])))
