"""The percentile bootstrap, exact and fast where rows collapse into few distinct cells."""

from typing import Self

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators.estimator import Estimator
from simulator.estimators.moments import SubjectSums
from simulator.intervals.interval import Interval, check_confidence
from simulator.rounds import Float64s, ScoredRounds

# Replicates are drawn in blocks of about this many counts, so that memory does not grow with replicates times cells.
BLOCK = 2_000_000


class Bootstrap:
    """A mergeable accumulator of what a bootstrap of `estimator` must know.

    Resampling n rows with replacement is one multinomial draw over the distinct rows, with their multiplicities as
    probabilities: no approximation, and with rare rewards few cells (all rows with r = 0 are one cell of w·r). Where
    the log names subjects, subjects are resampled, each with all its rows. A replicate costs as much as there are
    cells. Efron and Tibshirani (1993), chapter 13.

    Args:
        estimator: Gives columns and readout; it is not updated.
    """

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator
        self._cells: Float64s | None = None
        self._counts: Float64s | None = None
        self._subjects: SubjectSums | None = None

    def update(self, batch: ScoredRounds) -> None:
        """Take in a batch.

        Raises:
            InvalidInput: Some batches name subjects and some do not.
        """
        if not len(batch):
            return
        columns = self.estimator.columns(batch)
        if batch.subject is None:
            rows = np.stack((np.ones(len(batch)), *columns), axis=1)
            cells, counts = _collapse(rows, np.ones(len(batch)))
            self._add(cells, counts, None)
        else:
            self._add(None, None, SubjectSums.of(batch.subject, columns))

    def merge(self, other: Self) -> Self:
        """A new accumulator that has seen what both have seen."""
        merged = type(self)(self.estimator)
        for part in (self, other):
            merged._add(part._cells, part._counts, part._subjects)  # noqa: SLF001 - the same class
        return merged

    def __add__(self, other: Self) -> Self:
        return self.merge(other)

    def result(self, confidence: float = 0.95, replicates: int = 2000, seed: int = 0) -> Interval:
        """Percentile interval of `replicates` resamples; nan ends where nothing was seen or no resample has a value."""
        alpha = check_confidence(confidence)
        values = self.replicate_values(replicates, seed)
        values = values[np.isfinite(values)]
        lo, hi = np.quantile(values, [alpha / 2, 1 - alpha / 2]) if values.size else (np.nan, np.nan)
        unit = "rows" if self._subjects is None else "subjects"
        assumptions = (
            f"{unit} are independent and resemble the population, the largest weights included (a rare reward or "
            "weight that was never logged is never resampled); one look at a fixed n; "
            f"{replicates} replicates, seed {seed}"
        )
        return Interval("bootstrap", float(lo), float(hi), confidence, assumptions)

    def replicate_values(self, replicates: int, seed: int) -> Float64s:
        """The estimate in each resample, shape (replicates,)."""
        cells, counts = self._units()
        total = int(counts.sum())
        if total == 0:
            return np.empty(0)
        generator = np.random.default_rng(seed)
        share, block, values = counts / total, max(1, BLOCK // len(counts)), []
        for start in range(0, replicates, block):
            drawn = generator.multinomial(total, share, size=min(block, replicates - start)).astype(np.float64)
            sums = drawn @ cells
            values.append(self.estimator.readout(sums[:, 1:] / sums[:, :1]))
        return np.concatenate(values)

    def _add(self, cells: Float64s | None, counts: Float64s | None, subjects: SubjectSums | None) -> None:
        if (subjects is not None and self._cells is not None) or (cells is not None and self._subjects is not None):
            raise InvalidInput("subject", "either every batch names its subjects or none does")
        if subjects is not None:
            self._subjects = subjects if self._subjects is None else self._subjects + subjects
        if cells is not None and counts is not None:
            if self._cells is not None and self._counts is not None:
                cells, counts = np.concatenate([self._cells, cells]), np.concatenate([self._counts, counts])
            self._cells, self._counts = _collapse(cells, counts)

    def _units(self) -> tuple[Float64s, Float64s]:
        """Distinct units as (rows, column sums), shape (C, 1 + d), and how many there are of each, shape (C,)."""
        if self._subjects is not None:
            units = np.column_stack((self._subjects.rows, self._subjects.sums))
            return _collapse(units, np.ones(len(units)))
        if self._cells is None or self._counts is None:
            return np.empty((0, 1)), np.empty(0)
        return self._cells, self._counts


def _collapse(cells: Float64s, counts: Float64s) -> tuple[Float64s, Float64s]:
    """Distinct rows of `cells` in lexicographic order, and the sum of `counts` over each."""
    order = np.lexsort(cells.T[::-1])
    sorted_cells = cells[order]
    new = np.concatenate(([True], (sorted_cells[1:] != sorted_cells[:-1]).any(axis=1)))
    starts = np.flatnonzero(new)
    return sorted_cells[starts], np.add.reduceat(counts[order], starts)
