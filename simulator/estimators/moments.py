"""First and second moments of a few per-row columns: the sufficient statistics behind every estimator."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from simulator.rounds import Float64s, Ints


@dataclass(frozen=True, eq=False)
class SubjectSums:
    """Column sums by subject, so that rows of one shopper count as one unit.

    Args:
        codes: Distinct subject codes, ascending, shape (G,).
        rows: Rows of each subject, shape (G,).
        sums: Column sums of each subject, shape (G, d).
    """

    codes: Ints
    rows: Float64s
    sums: Float64s

    @classmethod
    def of(cls, subject: Ints, columns: tuple[Float64s, ...]) -> Self:
        """Sum `columns`, each of shape (n,), by `subject`, shape (n,)."""
        codes, index = np.unique(subject, return_inverse=True)
        sums = [np.bincount(index, weights=column, minlength=len(codes)) for column in columns]
        rows = np.asarray(np.bincount(index, minlength=len(codes)), dtype=np.float64)
        return cls(codes, rows, np.stack(sums, axis=1))

    def __add__(self, other: Self) -> Self:
        codes, index = np.unique(np.concatenate([self.codes, other.codes]), return_inverse=True)
        weights = np.concatenate([self.rows, other.rows])
        rows = np.asarray(np.bincount(index, weights=weights, minlength=len(codes)), dtype=np.float64)
        stacked = np.concatenate([self.sums, other.sums])
        sums = [np.bincount(index, weights=column, minlength=len(codes)) for column in stacked.T]
        return type(self)(codes, rows, np.stack(sums, axis=1))


@dataclass(frozen=True, eq=False)
class Moments:
    """n, mean and centred co-moments Σ (u-ū)(u-ū)ᵀ of d columns u; adding two equals having seen both.

    Centred co-moments, not raw squares, because Σw² - (Σw)²/n loses every digit when the variance is small.
    Reference: Chan, Golub, LeVeque (1983), doi:10.1080/00031305.1983.10483115.
    """

    n: int
    mean: Float64s
    comoments: Float64s
    subjects: SubjectSums | None = None

    @classmethod
    def of(cls, columns: tuple[Float64s, ...], subject: Ints | None = None) -> Self:
        """Moments of `columns`, each of shape (n,) with n ≥ 1, and their sums by `subject` where given."""
        mean = np.array([column.mean() for column in columns])
        centred = [column - m for column, m in zip(columns, mean, strict=True)]
        comoments = np.array([[np.dot(a, b) for b in centred] for a in centred])
        subjects = None if subject is None else SubjectSums.of(subject, columns)
        return cls(len(columns[0]), mean, comoments, subjects)

    def __add__(self, other: Self) -> Self:
        n = self.n + other.n
        delta = other.mean - self.mean
        comoments = self.comoments + other.comoments + np.outer(delta, delta) * (self.n * other.n / n)
        # A log that names its subjects only in some partitions cannot be grouped by them.
        subjects = None if self.subjects is None or other.subjects is None else self.subjects + other.subjects
        return type(self)(n, self.mean + delta * (other.n / n), comoments, subjects)

    def variance_by_row(self, gradient: Float64s) -> float:
        """Variance of f(ū) by the delta method, rows independent.

        ∇ᵀ S ∇ / n, S the covariance with n - 1 degrees of freedom; nan below 2 rows.
        """
        if self.n < 2:  # noqa: PLR2004 - a variance needs two rows
            return float("nan")
        return max(float(gradient @ self.comoments @ gradient), 0.0) / (self.n - 1) / self.n

    def variance_by_subject(self, gradient: Float64s) -> float:
        """Variance of f(ū) with subjects independent and rows of a subject as dependent as they like.

        G/(G-1) · Σ_g (∇·(U_g - n_g ū))² / n², U_g and n_g the sums and rows of subject g (Liang and Zeger 1986,
        doi:10.1093/biomet/73.1.13); nan below 2 subjects or where the log does not name them.
        """
        if self.subjects is None or len(self.subjects.codes) < 2:  # noqa: PLR2004 - a variance needs two subjects
            return float("nan")
        influence = (self.subjects.sums - self.subjects.rows[:, None] * self.mean) @ gradient
        g = len(influence)
        return float(influence @ influence * g / (g - 1) / self.n**2)
