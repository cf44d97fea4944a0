"""The maximum empirical likelihood estimate; kept to check the others against, and not part of reports."""

from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np
from scipy.optimize import brentq

from cxi_bandit.domain.errors import InvalidInput
from simulator.rounds import Float64s, ScoredRounds


@dataclass(frozen=True, eq=False)
class WeightCells:
    """Rows gathered by their weight: all that the likelihood depends on.

    Args:
        weight: Distinct weights, ascending, shape (C,).
        rows: Rows of each, shape (C,).
        reward: Sum of rewards of each, shape (C,).
    """

    weight: Float64s
    rows: Float64s
    reward: Float64s

    @classmethod
    def of(cls, weight: Float64s, rows: Float64s, reward: Float64s) -> Self:
        """Gather equal weights."""
        distinct, index = np.unique(weight, return_inverse=True)
        rows = np.asarray(np.bincount(index, weights=rows, minlength=len(distinct)), dtype=np.float64)
        reward = np.asarray(np.bincount(index, weights=reward, minlength=len(distinct)), dtype=np.float64)
        return cls(distinct, rows, reward)


class EmpiricalLikelihood:
    """θ = Σ q_i w_i r_i + (1 - Σ q_i w_i)·r̄, q the likeliest distribution over rows with E[w] = 1; in reward units.

    q_i = 1/(n + β(w_i - 1)), where β solves Σ (w_i - 1)/(n + β(w_i - 1)) = 0 within the bounds that keep every q_i at
    most 1 and the mass left for unseen rows possible under the declared weights. Rows cost as much memory as they have
    distinct weights. Karampatziakis, Langford, Mineiro (2020), arXiv:1906.03323.

    Args:
        w_min: Smallest possible weight, below 1.
        w_max: Largest possible weight, above 1; infinity where it is not known.
    """

    name = "empirical_likelihood"

    def __init__(self, w_min: float = 0.0, w_max: float = inf) -> None:
        if not 0.0 <= w_min < 1.0 < w_max:
            raise InvalidInput("weight_range", f"({w_min}, {w_max}) must satisfy 0 ≤ w_min < 1 < w_max")
        self.w_min = w_min
        self.w_max = w_max
        self._cells: WeightCells | None = None

    def update(self, batch: ScoredRounds) -> None:
        """Take in a batch."""
        if len(batch):
            self._add(WeightCells.of(batch.weight, np.ones(len(batch)), batch.reward))

    def merge(self, other: Self) -> Self:
        """A new accumulator that has seen what both have seen."""
        merged = type(self)(min(self.w_min, other.w_min), max(self.w_max, other.w_max))
        for part in (self, other):
            if part._cells is not None:  # noqa: SLF001 - the same class
                merged._add(part._cells)  # noqa: SLF001 - the same class
        return merged

    def __add__(self, other: Self) -> Self:
        return self.merge(other)

    def value(self) -> float:
        """The estimate from everything seen so far; nan for nothing."""
        if self._cells is None:
            return float("nan")
        cells, n = self._cells, float(self._cells.rows.sum())
        mass = 1.0 / (n + self._multiplier(cells, n) * (cells.weight - 1.0))
        seen = float(np.sum(mass * cells.rows * cells.weight))
        found = float(np.sum(mass * cells.weight * cells.reward))
        return found + max(0.0, 1.0 - seen) * float(cells.reward.sum()) / n

    def _multiplier(self, cells: WeightCells, n: float) -> float:
        """β."""
        excess = cells.weight - 1.0
        below, above = excess[excess < 0], excess[excess > 0]
        # No row may take more than all of the mass, and the unseen mass must fit a weight within the declared range.
        lo = max(-n / (self.w_max - 1.0), float((-(n - 1.0) / above).max(initial=-inf)))
        hi = min(n / (1.0 - self.w_min), float(((n - 1.0) / -below).min(initial=inf)))

        def slope(beta: float) -> float:
            total: float = np.sum(cells.rows * excess / (n + beta * excess)).item()
            return total

        # The slope falls in β: without a change of sign the likeliest β is the end that the slope points to.
        if slope(lo) <= 0.0:
            return lo
        if slope(hi) >= 0.0:
            return hi
        return float(brentq(slope, lo, hi, xtol=1e-13, rtol=1e-15))

    def _add(self, cells: WeightCells) -> None:
        if self._cells is not None:
            old = self._cells
            cells = WeightCells.of(
                np.concatenate([old.weight, cells.weight]),
                np.concatenate([old.rows, cells.rows]),
                np.concatenate([old.reward, cells.reward]),
            )
        self._cells = cells
