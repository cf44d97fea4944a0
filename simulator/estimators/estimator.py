"""What an estimator is: per-row columns, their mergeable moments, and a smooth readout of the column means."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators.moments import Moments
from simulator.rounds import Float64s, ScoredRounds


@dataclass(frozen=True)
class PointEstimate:
    """An estimate of the candidate's mean reward.

    Args:
        name: The estimator's name in reports.
        value: In reward units; nan where the estimate does not exist (no rows, or no overlap at all).
        standard_error: In reward units, by subject where the log names subjects, else by row; nan below two units.
        n: Rows.
        units: Independent units behind `standard_error`: subjects or rows.
        unit: `subject` or `row`.
    """

    name: str
    value: float
    standard_error: float
    n: int
    units: int
    unit: str


class Estimator(ABC):
    """A mergeable accumulator of one off-policy estimate.

    An estimate is f(ū), u the per-row columns. `update` sees a batch of any size, in any order; `merge` adds what
    another accumulator of the same estimator and options has seen; `result` reads out at any time. The standard
    error is that of the influence function ∇f(ū)·(u_i - ū) (the delta method), so a ratio such as SNIPS is linearised.
    """

    name: ClassVar[str]
    # What the interval around this estimate is about, in words for the report.
    target: ClassVar[str] = "the candidate's value"

    def __init__(self) -> None:
        self.moments: Moments | None = None

    @abstractmethod
    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The d per-row columns u, each of shape (n,)."""

    @abstractmethod
    def readout(self, means: Float64s) -> Float64s:
        """Evaluate f at column means of shape (..., d), giving shape (...)."""

    @abstractmethod
    def gradient(self, means: Float64s) -> Float64s:
        """∇f at column means of shape (d,), giving shape (d,)."""

    @property
    def options(self) -> tuple[float, ...]:
        """What must be equal for two accumulators to be merged."""
        return ()

    def update(self, batch: ScoredRounds) -> None:
        """Take in a batch."""
        if len(batch):
            seen = Moments.of(self.columns(batch), batch.subject)
            self.moments = seen if self.moments is None else self.moments + seen

    def merge(self, other: Self) -> Self:
        """A new accumulator that has seen what both have seen.

        Raises:
            InvalidInput: `other` is another estimator or has other options.
        """
        if type(other) is not type(self) or other.options != self.options:
            raise InvalidInput(self.name, "only accumulators of one estimator with equal options can be merged")
        merged = type(self)(*self.options)
        seen = [m for m in (self.moments, other.moments) if m is not None]
        merged.moments = seen[0] + seen[1] if len(seen) == 2 else (seen[0] if seen else None)  # noqa: PLR2004 - both
        return merged

    def __add__(self, other: Self) -> Self:
        return self.merge(other)

    def result(self) -> PointEstimate:
        """The estimate from everything seen so far."""
        m = self.moments
        if m is None:
            return PointEstimate(self.name, float("nan"), float("nan"), 0, 0, "row")
        gradient = self.gradient(m.mean)
        if m.subjects is None:
            units, unit, variance = m.n, "row", m.variance_by_row(gradient)
        else:
            units, unit, variance = len(m.subjects.codes), "subject", m.variance_by_subject(gradient)
        return PointEstimate(self.name, float(self.readout(m.mean)), float(np.sqrt(variance)), m.n, units, unit)


class MeanEstimator(Estimator):
    """An estimate that is the mean of one score per row."""

    def readout(self, means: Float64s) -> Float64s:
        """The mean itself."""
        return means[..., 0]

    def gradient(self, means: Float64s) -> Float64s:
        """The mean is linear."""
        return np.ones_like(means)


class RatioEstimator(Estimator):
    """An estimate mean(u₀) / mean(u₁); nan where the denominator is 0."""

    def readout(self, means: Float64s) -> Float64s:
        """u₀ / u₁."""
        return divide(means[..., 0], means[..., 1])

    def gradient(self, means: Float64s) -> Float64s:
        """(1/u₁, -u₀/u₁²)."""
        numerator, denominator = means
        if denominator == 0.0:
            return np.full(2, np.nan)
        return np.array([1.0 / denominator, -numerator / denominator**2])


def divide(numerator: Float64s, denominator: Float64s) -> Float64s:
    """Elementwise quotient, nan where the denominator is 0."""
    out = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)
    return out
