"""Replay: a log and a candidate in, an evaluation report out."""

from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Literal

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import EvaluationReport
from simulator.candidates import Candidate, Prepared
from simulator.datasets.log import ReplayLog
from simulator.datasets.snapshot import Snapshot
from simulator.evaluate import EvaluationSettings, IntervalMethod, Labels, evaluate
from simulator.horizon import HorizonSensitivity, horizon_sensitivity
from simulator.intervals import WeightRange
from simulator.log_quality import LogQuality
from simulator.logging_facts import fallback_notes, interval_notes, version_notes
from simulator.measures import Measures, measured
from simulator.paired import scored
from simulator.partitions import Engine, evaluate_on
from simulator.progress import Track, silent
from simulator.reward_model import RewardModel, SmoothedMean
from simulator.rounds import Bools, Float64s, Floats
from simulator.segments import Segments, segment_effects
from simulator.vw_reward_model import VowpalReward

RewardModelName = Literal["smoothed-mean", "vw"]
SAME_ROWS = 0
DEFAULT_FOLDS: dict[RewardModelName, int] = {"smoothed-mean": SAME_ROWS, "vw": 5}
"""The smoothed mean has a handful of numbers and is compared with other tools that fit it on the same rows."""


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """How to replay.

    Args:
        folds: Of cross-fitting; 0 fits the reward model on the rows it predicts, None takes the model's default.
        interval: None takes gaussian, by shopper where shoppers return.
        smallest_propensity: Declared floor of the logging policy, in (0, 1]; bounds the weights of intervals that need
            it. None where it is not known; the log's own minimum is no substitute.
        seed: Of folds and resampling.
        segments: Fields whose segments get an effect each: `surface`, `defect`, `context.FIELD`.
        horizon_sensitivity: Whether to estimate again with twice the attribution window.
        measures: Whether to look at the rows for a page.
        engine: Evaluates the log in partitions; None evaluates it whole. The two differ in last digits, and with
            cross-fitting in the folds.
    """

    reward_model: RewardModelName = "smoothed-mean"
    folds: int | None = None
    confidence: float = 0.95
    interval: IntervalMethod | None = None
    smallest_propensity: float | None = None
    seed: int = 0
    segments: tuple[str, ...] = ()
    horizon_sensitivity: bool = False
    measures: bool = False
    engine: Engine | None = None

    @property
    def folds_asked(self) -> int:
        """The folds; `SAME_ROWS` for none.

        Raises:
            InvalidInput: One fold, or fewer than none.
        """
        folds = DEFAULT_FOLDS[self.reward_model] if self.folds is None else self.folds
        if folds < 0 or folds == 1:
            raise InvalidInput("cross_fit", f"must be 2 or more folds, or 0 to fit on the same rows; got {folds}")
        return folds

    @property
    def in_parts(self) -> bool:
        """Whether sums over partitions answer all that is asked, so that nobody needs the whole log at once."""
        whole = self.segments or self.horizon_sensitivity or self.measures or self.reward_model != "smoothed-mean"
        return self.engine is not None and not whole


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """Of a log's propensities and of a candidate's probabilities: what a declared range of weights goes by.

    Args:
        least: Smallest logged propensity.
        greatest: Largest probability the candidate gives any action of any row.
    """

    least: float
    greatest: float

    @classmethod
    def of(cls, propensity: Float64s, probabilities: Floats) -> "Extremes":
        """Of some rows, at least one."""
        return cls(least=float(propensity.min()), greatest=float(probabilities.max()))

    def __or__(self, other: "Extremes") -> "Extremes":
        return Extremes(least=min(self.least, other.least), greatest=max(self.greatest, other.greatest))


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A report, and what its reader must know about how it came to be, in sentences.

    Args:
        snapshot: How far a live log was read.
        segments: Effects by segment, where asked for.
        horizon: The same under twice the window, where asked for.
        measures: What a page shows of the rows, where asked for.
    """

    report: EvaluationReport
    notes: tuple[str, ...]
    snapshot: Snapshot | None = None
    segments: Segments | None = None
    horizon: HorizonSensitivity | None = None
    measures: Measures | None = None


def replay(
    log: ReplayLog, candidate: Candidate, settings: ReplaySettings | None = None, track: Track = silent
) -> Replay:
    """Evaluates a candidate on a log.

    Raises:
        InvalidInput: The log is empty, a setting makes no sense, or the candidate cannot be asked about this log.
    """
    if not len(log):
        raise InvalidInput("log", f"{log.name} has no rows")
    return assess(candidate.prepare(log, track), candidate.spec, settings, track)


def assess(prepared: Prepared, candidate: str, settings: ReplaySettings | None = None, track: Track = silent) -> Replay:
    """Evaluates a candidate that has met its log already; `candidate` is what the report calls it.

    Raises:
        InvalidInput: A setting makes no sense.
    """
    settings = settings or ReplaySettings()
    log = prepared.log
    folds = settings.folds_asked
    rescored, unscored = _rescored(log)
    weights = Extremes.of(log.rounds.propensity, prepared.probabilities)
    how = evaluation_settings(settings, log.reward_range, log.smallest_propensity, weights)
    evaluated = evaluate if settings.engine is None else partial(evaluate_on, settings.engine, track=track)
    report = evaluated(
        log.rounds,
        prepared.probabilities,
        Labels(log=log.name, candidate=candidate, manifest_sha=prepared.manifest_sha, model_sha=prepared.model_sha),
        reward_model=_reward_model(log, settings, track),
        settings=how,
        quality=_quality(log, rescored),
        mixture_propensity=None if log.versions is None else log.versions.mixture(),
    )
    segments = horizon = None
    if settings.segments:
        batch = scored(log.rounds, prepared.probabilities, _reward_model(log, settings, track), how)
        segments = segment_effects(prepared, batch, settings.segments, settings.confidence)
    if settings.horizon_sensitivity:
        horizon = horizon_sensitivity(prepared, lambda part: _reward_model(part, settings, track), how)
    notes = [*prepared.notes, *fallback_notes(prepared.fallbacks, len(log)), *log.notes, *version_notes(log)]
    notes += interval_notes(report.diagnostics, settings.interval)
    if unscored:
        notes.append(f"{unscored} of {len(log)} decisions could not be executed again: their model was thinned away")
    return Replay(
        report=report,
        notes=(*notes, fitted_note(settings.reward_model, folds)),
        snapshot=log.snapshot,
        segments=segments,
        horizon=horizon,
        measures=measured(prepared, settings.confidence) if settings.measures else None,
    )


def _quality(log: ReplayLog, rescored: Floats | None) -> LogQuality:
    """What the log knows about itself; activations over all decisions answered in the time of its rows."""
    shown = None
    if log.shown is not None:
        shown = log.shown.between(float(log.rounds.logged_at.min()), float(log.rounds.logged_at.max()))
    return LogQuality(
        rescored=rescored,
        completed=log.completed,
        evidence=log.evidence,
        activated=None if shown is None else shown.activated,
        answered=None if shown is None else (shown.action, shown.logged_at),
    )


def _reward_model(log: ReplayLog, settings: ReplaySettings, track: Track) -> RewardModel:
    if settings.reward_model == "vw":
        return VowpalReward(log=log, track=track, seed=settings.seed)
    return SmoothedMean()


def evaluation_settings(
    settings: ReplaySettings, reward_range: tuple[float, float], declared: float | None, seen: Extremes
) -> EvaluationSettings:
    """How a log is evaluated.

    Args:
        settings: As asked for.
        reward_range: Declared.
        declared: Smallest propensity the log declares; what `settings` declares comes first.
        seen: In log and candidate.

    Raises:
        InvalidInput: The folds or the smallest propensity make no sense.
    """
    folds = settings.folds_asked
    floor = declared if settings.smallest_propensity is None else settings.smallest_propensity
    return EvaluationSettings(
        confidence=settings.confidence,
        interval=settings.interval or "gaussian",
        reward_range=reward_range,
        weight_range=_weight_range(floor, seen),
        cross_fit=folds != SAME_ROWS,
        folds=max(folds, 2),
        seed=settings.seed,
    )


def _weight_range(floor: float | None, seen: Extremes) -> WeightRange:
    if floor is None:
        return WeightRange(0.0, inf)
    if not 0.0 < floor <= 1.0:
        raise InvalidInput("smallest_propensity", f"must lie in (0, 1], got {floor:g}")
    if seen.least < floor * (1.0 - 1e-9):
        raise InvalidInput("smallest_propensity", f"is {floor:g}, but the log holds a propensity of {seen.least:g}")
    # What the candidate can put on an action is known exactly; what the log could have drawn only by its floor.
    return WeightRange(0.0, max(seen.greatest / floor, 1.0 + 1e-9))


def _rescored(log: ReplayLog) -> tuple[Floats | None, int]:
    """The vectors computed again with the log's own in place of those that could not be, and how many those were."""
    if log.rescored is None or log.rounds.probabilities is None:
        return None, 0
    missing: Bools = np.isnan(log.rescored.sum(axis=1))
    if missing.all():
        return None, len(log)
    return np.where(missing[:, None], log.rounds.probabilities, log.rescored), int(missing.sum())


def fitted_note(name: RewardModelName, folds: int) -> str:
    """How the reward model was fitted."""
    if folds == SAME_ROWS:
        return (
            f"the reward model ({name}) was fitted on the rows it predicts, so dm, dr and their kin lean towards the "
            "log; --cross-fit K fits it on other rows"
        )
    return f"the reward model ({name}) was cross-fitted in {folds} folds"
