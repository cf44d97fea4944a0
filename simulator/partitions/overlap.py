"""Diagnostics from sums over partitions, every one of them exact: overlap, support, honest propensities, tails."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from simulator.calibration import CalibrationSums
from simulator.diagnostics import Findings, lacking, largest_gap, logged_overlap
from simulator.estimators.moments import Moments, SubjectSums
from simulator.pareto_tail import largest, shape_of_tail
from simulator.partitions.partition import Partition
from simulator.rounds import Bools, Float64s, ScoredRounds


@dataclass(frozen=True, eq=False, kw_only=True)
class OverlapSums:
    """What the diagnostics need of some rows; adding two equals having seen both.

    Memory grows with the number of distinct shoppers where the log names them, with nothing else.

    Args:
        moments: Of w and w·e, at least one row; e is the row's evidence, its reward where no other is known.
        squares: Σw² and Σ(we)².
        lacking: Σwf and Σ(wf)², f what a row's reward lacks of the highest declared one.
        correction: Σ|w(r - q̂)| and its largest term.
        by_subject: |w(r - q̂)| by shopper.
        second: Σ over rows of Σ_{a: p>0} π_e²/p; None without logged vectors.
        outside: Σ over rows of the mass of π_e where the log could not go; None where it cannot be known.
        top: The largest weights, ascending, at most `kept` of them.
        kept: How many are kept.
        calibration: Of the logged propensities.
        rescoring_gap: Largest |logged - rescored|.
    """

    moments: Moments
    squares: tuple[float, float]
    lacking: tuple[float, float]
    correction: tuple[float, float]
    by_subject: SubjectSums | None
    second: float | None
    outside: float | None
    top: Float64s
    kept: int
    calibration: CalibrationSums
    rescoring_gap: float | None

    @classmethod
    def of(cls, batch: ScoredRounds, beside: Partition, rare: Bools | None, kept: int, highest: float) -> Self:
        """The sums over `batch`, at least one row.

        Args:
            batch: With predictions.
            beside: The same rows with what else is known of them.
            rare: Actions whose calibration is pooled, decided on the whole log.
            kept: Size of the tail of weights, from the rows of the whole log, and one.
            highest: Declared highest reward.
        """
        n, weight, rescored = len(batch), batch.weight, beside.rescored
        # Good news and bad news are both evidence: they must not cancel.
        earned = weight * (batch.reward if beside.evidence is None else np.abs(beside.evidence))
        failed = weight * lacking(batch.reward, highest)
        correction = np.abs(weight * batch.residual)
        second, outside = logged_overlap(batch)
        return cls(
            moments=Moments.of((weight, earned)),
            squares=(float(weight @ weight), float(earned @ earned)),
            lacking=(float(failed.sum()), float(failed @ failed)),
            correction=(float(correction.sum()), float(correction.max())),
            by_subject=None if batch.subject is None else SubjectSums.of(batch.subject, (correction,)),
            second=None if second is None else second * n,
            outside=None if outside is None else outside * n,
            top=largest(weight, kept),
            kept=kept,
            calibration=CalibrationSums.of(batch.rounds, rare),
            rescoring_gap=None if rescored is None else largest_gap(batch.rounds, rescored),
        )

    def __add__(self, other: Self) -> Self:
        gaps = [gap for gap in (self.rescoring_gap, other.rescoring_gap) if gap is not None]
        named = self.by_subject is not None and other.by_subject is not None
        return type(self)(
            moments=self.moments + other.moments,
            squares=(self.squares[0] + other.squares[0], self.squares[1] + other.squares[1]),
            lacking=(self.lacking[0] + other.lacking[0], self.lacking[1] + other.lacking[1]),
            correction=(self.correction[0] + other.correction[0], max(self.correction[1], other.correction[1])),
            by_subject=self.by_subject + other.by_subject if named else None,  # type: ignore[operator]
            second=None if self.second is None or other.second is None else self.second + other.second,
            outside=None if self.outside is None or other.outside is None else self.outside + other.outside,
            top=largest(np.concatenate([self.top, other.top]), self.kept),
            kept=self.kept,
            calibration=self.calibration + other.calibration,
            rescoring_gap=max(gaps, default=None),
        )

    @property
    def shoppers_return(self) -> bool:
        """Whether the log names shoppers and some shopper has more than one row."""
        return self.by_subject is not None and len(self.by_subject.codes) < self.moments.n

    def findings(self) -> Findings:
        """The numbers to hold against their limits."""
        n, (weight_squares, earned_squares) = self.moments.n, self.squares
        total, highest = self.correction
        mean_weight, mean_earned = (float(m) for m in self.moments.mean)
        by_subject = self.by_subject
        by_shopper = None if by_subject is None or total == 0.0 else float(by_subject.sums.max()) / total
        return Findings(
            n=n,
            subjects=None if by_subject is None else len(by_subject.codes),
            ess=_effective(mean_weight * n, weight_squares),
            reward_ess=_effective(mean_earned * n, earned_squares),
            failure_ess=_effective(*self.lacking),
            second_moment=None if self.second is None else self.second / n,
            # Rounding alone may leave a little less than nothing.
            unsupported=None if self.outside is None else max(0.0, self.outside / n),
            mean_weight=mean_weight,
            weight_variance=float(self.moments.comoments[0, 0]) / (n - 1) if n > 1 else None,
            max_weight=float(self.top[-1]),
            row_share=None if total == 0.0 else highest / total,
            subject_share=by_shopper,
            calibration=self.calibration.p_value(),
            rescoring_gap=self.rescoring_gap,
            tail=shape_of_tail(self.top) if self.kept > 1 else None,
        )


def _effective(total: float, squares: float) -> float:
    return total**2 / squares if squares > 0 else 0.0
