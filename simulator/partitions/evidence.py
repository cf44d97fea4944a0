"""What a look at a partition leaves behind: the sums of every estimator, interval and diagnostic."""

from dataclasses import dataclass
from math import isfinite
from typing import Self

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators import ESTIMATORS, Estimator
from simulator.estimators.estimator import MeanEstimator
from simulator.evaluate import BY_ROW, EvaluationSettings
from simulator.intervals import (
    Bootstrap,
    ConfidenceSequence,
    CressieRead,
    Interval,
    ScoreBound,
    empirical_bernstein,
    gaussian,
)
from simulator.partitions.overlap import OverlapSums
from simulator.partitions.partition import Partition
from simulator.partitions.smoothed_means import SmoothedMeans, fold_of_rows
from simulator.rounds import Bools, Floats

MRDR = "mrdr"
SCORES = frozenset({"ips", "dr", MRDR})
"""Estimates for which cressie_read and empirical_bernstein are defined."""

Range = tuple[float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """What every partition must know before it is evaluated, all of it decided on the whole log.

    Args:
        settings: How to evaluate.
        folds: Of the reward model; 1 fits it on the rows it predicts.
        plain: The reward model of every estimate but mrdr; None where partitions bring predictions of their own.
        robust: The reward model of mrdr; None likewise.
        rare: Actions whose calibration is pooled; None without logged vectors.
        kept: Size of the tail of weights, and one.
        block_rows: Rows handled at once: large enough for numpy to be quick, small enough for temporaries to be cached.
    """

    settings: EvaluationSettings
    folds: int
    plain: SmoothedMeans | None
    robust: SmoothedMeans | None
    rare: Bools | None
    kept: int
    block_rows: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Everything a report needs of some rows; adding the evidence of the rows right after them equals having seen both.

    Args:
        estimators: By name.
        cressie_read: By estimate, where that interval was asked for.
        bootstrap: By estimate, where that interval was asked for; the one kind of evidence that grows with the rows.
        sequence: For ips, where that interval was asked for.
        q_ranges: Smallest and largest prediction of dr and of mrdr, where empirical_bernstein was asked for.
        overlap: Behind the diagnostics.
    """

    estimators: dict[str, Estimator]
    cressie_read: dict[str, CressieRead]
    bootstrap: dict[str, Bootstrap]
    sequence: ConfidenceSequence | None
    q_ranges: dict[str, Range]
    overlap: OverlapSums

    @classmethod
    def of(cls, partition: Partition, plan: Plan) -> "Evidence | None":
        """The evidence of a partition, taken block by block; None of an empty one."""
        gathered: Evidence | None = None
        for block in partition.blocks(plan.block_rows):
            seen = _of_block(block, plan)
            gathered = seen if gathered is None else gathered + seen
        return gathered

    def __add__(self, later: Self) -> "Evidence":
        sequence = None
        if self.sequence is not None and later.sequence is not None:
            sequence = self.sequence + later.sequence
        return Evidence(
            estimators={name: mine + later.estimators[name] for name, mine in self.estimators.items()},
            cressie_read={name: mine + later.cressie_read[name] for name, mine in self.cressie_read.items()},
            bootstrap={name: mine + later.bootstrap[name] for name, mine in self.bootstrap.items()},
            sequence=sequence,
            q_ranges={name: _union(mine, later.q_ranges[name]) for name, mine in self.q_ranges.items()},
            overlap=self.overlap + later.overlap,
        )

    def interval(self, name: str, settings: EvaluationSettings) -> Interval:
        """The interval `settings.interval` around estimate `name`; gaussian where it is not defined."""
        estimator = self.estimators[name]
        if settings.interval in BY_ROW and self.overlap.shoppers_return:
            return gaussian(estimator.result(), settings.confidence)
        if name in self.bootstrap:
            return self.bootstrap[name].result(settings.confidence, settings.replicates, settings.seed)
        if name in self.cressie_read:
            return self.cressie_read[name].result(settings.confidence)
        if settings.interval == "empirical_bernstein" and name in SCORES and isinstance(estimator, MeanEstimator):
            if not isfinite(settings.weight_range.hi):
                raise InvalidInput("weight_range", "empirical_bernstein needs a declared largest weight")
            bound = ScoreBound(settings.reward_range, self.q_ranges.get(name))
            return empirical_bernstein(estimator, bound.over(settings.weight_range.hi), settings.confidence)
        if self.sequence is not None and name == "ips":
            return self.sequence.result(settings.confidence)
        return gaussian(estimator.result(), settings.confidence)


def _of_block(block: Partition, plan: Plan) -> Evidence:
    settings = plan.settings
    plain, robust = _predictions(block, plan)
    batch = block.scored(plain)
    estimators = {name: kind() for name, kind in ESTIMATORS.items()}
    batches = dict.fromkeys(estimators, batch)
    # The weights are the same under both reward models, and so are all estimates that use none.
    batches[MRDR] = batch.with_predictions(robust)
    for name, estimator in estimators.items():
        estimator.update(batches[name])
    cressie_read, bootstrap, q_ranges, sequence = {}, {}, {}, None
    for name, estimator in estimators.items():
        if settings.interval == "bootstrap":
            bootstrap[name] = Bootstrap(ESTIMATORS[name]())
            bootstrap[name].update(batches[name])
        elif settings.interval == "cressie_read" and name in SCORES and isinstance(estimator, MeanEstimator):
            cressie_read[name] = CressieRead(ESTIMATORS[name](), settings.weight_range, settings.reward_range)  # type: ignore[arg-type]
            cressie_read[name].update(batches[name])
        elif settings.interval == "empirical_bernstein" and name in SCORES - {"ips"}:
            q_ranges[name] = batches[name].q_range
    if settings.interval == "confidence_sequence":
        sequence = ConfidenceSequence(settings.reward_range, block.first_row)
        sequence.update(batch)
    return Evidence(
        estimators=estimators,
        cressie_read=cressie_read,
        bootstrap=bootstrap,
        sequence=sequence,
        q_ranges=q_ranges,
        overlap=OverlapSums.of(batch, block, plan.rare, plan.kept, settings.reward_range[1]),
    )


def _predictions(block: Partition, plan: Plan) -> tuple[Floats | None, Floats | None]:
    if plan.plain is None or plan.robust is None:
        return block.q_hat, block.q_hat_mrdr
    fold = fold_of_rows(block.rounds, block.first_row, plan.folds, plan.settings.seed)
    precision = block.candidate.dtype
    return plan.plain.predict(block.rounds, fold, precision), plan.robust.predict(block.rounds, fold, precision)


def _union(mine: Range, other: Range) -> Range:
    return (min(mine[0], other[0]), max(mine[1], other[1]))
