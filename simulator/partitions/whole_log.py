"""A log in memory, evaluated in partitions on an engine: the same question as `simulator.evaluate.evaluate` answers."""

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from cxi_bandit.domain.evaluation import EvaluationReport
from simulator.estimators.mrdr import mrdr_weight
from simulator.evaluate import EvaluationSettings, Labels, predictions
from simulator.log_quality import LogQuality, rates_of
from simulator.partitions.engines import Engine
from simulator.partitions.evaluate import evaluate_partitions
from simulator.partitions.partition import PARTITION_ROWS, ArrayFiles, Partition, Source, array_slices
from simulator.progress import Track, silent
from simulator.reward_model import RewardModel, SmoothedMean
from simulator.rounds import Float64s, Floats, LoggedRounds, ScoredRounds


def evaluate_on(
    engine: Engine,
    rounds: LoggedRounds,
    candidate: Floats,
    labels: Labels,
    *,
    settings: EvaluationSettings,
    reward_model: RewardModel | None = None,
    quality: LogQuality | None = None,
    mixture_propensity: Float64s | None = None,
    track: Track = silent,
    partition_rows: int = PARTITION_ROWS,
) -> EvaluationReport:
    """Cuts the log into partitions and has `engine` evaluate them.

    A smoothed mean is fitted from the partitions' sums. Any other reward model is fitted and asked here, before: it may
    need rows' contexts, which partitions do not carry.

    Args:
        engine: Where. One that shares no memory gets the arrays as files in a temporary folder, which its workers must
            be able to read; they are removed at the end.
        rounds: The log.
        candidate: π_e(a|x), shape (n, K).
        labels: Names and fingerprints for the report.
        settings: How.
        reward_model: Unfitted; None takes the smoothed mean.
        quality: What else is known about the log.
        mixture_propensity: Probability of the logged action under all logging versions pooled, shape (n,).
        track: Hears of rows done.
        partition_rows: Another number gives other last digits.

    Raises:
        InvalidInput: Names the field and row at fault, the row within its partition; or the log is empty.
    """
    quality = quality or LogQuality()
    q_hat = q_hat_mrdr = None
    if reward_model is not None and not isinstance(reward_model, SmoothedMean):
        batch = ScoredRounds(rounds, candidate, None, mixture_propensity)
        q_hat = predictions(batch, reward_model, settings, None)
        weight = mrdr_weight(batch.weight, rounds.propensity)
        q_hat_mrdr = predictions(batch, reward_model, settings, weight)
    whole = Partition(
        rounds=rounds,
        candidate=candidate,
        q_hat=q_hat,
        q_hat_mrdr=q_hat_mrdr,
        mixture_propensity=mixture_propensity,
        rescored=quality.rescored,
        evidence=quality.evidence,
    )
    rates = rates_of(rounds, quality) if len(rounds) else None
    with nullcontext("") if engine.shares_memory else TemporaryDirectory(prefix="cxi-bandit-replay-") as folder:
        sources: list[Source] = [*array_slices(whole, partition_rows)]
        if folder:
            sources = [*ArrayFiles.written(whole, Path(folder), partition_rows)]
        return evaluate_partitions(sources, labels, settings=settings, engine=engine, rates=rates, track=track)
