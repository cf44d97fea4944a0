"""The first of two passes over a log: what only the whole log can decide, as sums that can be added."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.calibration import expected_draws, rare_actions
from simulator.estimators.mrdr import mrdr_weight
from simulator.evaluate import EvaluationSettings
from simulator.pareto_tail import tail_size
from simulator.partitions.evidence import Plan
from simulator.partitions.partition import Partition
from simulator.partitions.smoothed_means import SAME_ROWS, MeanSums, SmoothedMeans, fold_of_rows
from simulator.reward_model import SmoothedMean
from simulator.rounds import Float64s


@dataclass(frozen=True, eq=False, kw_only=True)
class FirstLook:
    """Sums for the reward models and the calibration of some rows; adding two equals having seen both.

    Args:
        rows: How many.
        actions: The catalogue; every partition must have the same.
        period: First and last decision time, epoch seconds.
        plain: For the reward model; None where the partitions bring predictions.
        robust: For mrdr's, under its weights; None likewise.
        expected: Σ_t p_t(a), shape (K,); None without logged vectors.
    """

    rows: int
    actions: tuple[str, ...]
    period: tuple[float, float]
    plain: MeanSums | None
    robust: MeanSums | None
    expected: Float64s | None

    @classmethod
    def of(cls, partition: Partition, settings: EvaluationSettings, block_rows: int) -> "FirstLook | None":
        """The sums of a partition, taken block by block; None of an empty one."""
        gathered: FirstLook | None = None
        for block in partition.blocks(block_rows):
            seen = cls._of_block(block, settings)
            gathered = seen if gathered is None else gathered + seen
        return gathered

    @classmethod
    def _of_block(cls, block: Partition, settings: EvaluationSettings) -> Self:
        rounds, plain, robust = block.rounds, None, None
        if block.q_hat is None:
            folds = folds_of(settings)
            fold = fold_of_rows(rounds, block.first_row, folds, settings.seed)
            chosen = block.candidate[np.arange(len(block)), rounds.action].astype(np.float64)
            weight = mrdr_weight(chosen / rounds.propensity, rounds.propensity)
            plain = MeanSums.of(rounds, fold, folds, None)
            robust = MeanSums.of(rounds, fold, folds, weight)
        return cls(
            rows=len(block),
            actions=rounds.actions,
            period=(float(rounds.logged_at.min()), float(rounds.logged_at.max())),
            plain=plain,
            robust=robust,
            expected=None if rounds.probabilities is None else expected_draws(rounds.probabilities),
        )

    def __add__(self, other: Self) -> "FirstLook":
        if other.actions != self.actions:
            raise InvalidInput("actions", "every partition of a log must have the same actions in the same order")
        return FirstLook(
            rows=self.rows + other.rows,
            actions=self.actions,
            period=(min(self.period[0], other.period[0]), max(self.period[1], other.period[1])),
            plain=_plus(self.plain, other.plain),
            robust=_plus(self.robust, other.robust),
            expected=None if self.expected is None or other.expected is None else self.expected + other.expected,
        )

    def plan(self, settings: EvaluationSettings, block_rows: int) -> Plan:
        """What the second pass goes by."""
        plain = robust = None
        if self.plain is not None and self.robust is not None:
            strength = SmoothedMean().strength
            plain = SmoothedMeans.fitted(self.plain, self.plain, strength)
            robust = SmoothedMeans.fitted(self.robust, self.plain, strength)
        return Plan(
            settings=settings,
            folds=folds_of(settings),
            plain=plain,
            robust=robust,
            rare=None if self.expected is None else rare_actions(self.expected),
            kept=(tail_size(self.rows) or 0) + 1,
            block_rows=block_rows,
        )


def folds_of(settings: EvaluationSettings) -> int:
    """Folds of the reward model; one where it is fitted on the rows it predicts."""
    return settings.folds if settings.cross_fit else SAME_ROWS


def _plus(mine: MeanSums | None, other: MeanSums | None) -> MeanSums | None:
    if (mine is None) != (other is None):
        raise InvalidInput("q_hat", "either every partition brings predictions or none does")
    return None if mine is None or other is None else mine + other
