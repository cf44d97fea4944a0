"""One evaluation: a log, a candidate's probabilities and a reward model in, an evaluation report out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from typing import Literal

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Estimate, EvaluationReport, Level, Provenance
from cxi_bandit.domain.gate import Reason, Ruling, Verdict
from simulator.diagnostics import diagnose
from simulator.estimators import ESTIMATORS, Estimator
from simulator.estimators.estimator import MeanEstimator
from simulator.estimators.mrdr import mrdr_weight
from simulator.intervals import (
    Bootstrap,
    ConfidenceSequence,
    CressieRead,
    Interval,
    ScoreBound,
    WeightRange,
    empirical_bernstein,
    gaussian,
)
from simulator.log_quality import LogQuality
from simulator.reward_model import RewardModel, SmoothedMean, cross_fit, fit_on_same_rows
from simulator.rounds import Float64s, Floats, LoggedRounds, ScoredRounds

HEADLINE = "dr"
IntervalMethod = Literal["gaussian", "empirical_bernstein", "bootstrap", "cressie_read", "confidence_sequence"]
BY_ROW = frozenset({"cressie_read", "empirical_bernstein", "confidence_sequence"})
"""Methods whose bound is about independent rows (or rows alike, given the past). Where shoppers return they are not
defined: a bound on a shopper's sum would need a declared limit on how many decisions one shopper can have."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How to evaluate.

    Args:
        confidence: Nominal coverage of every interval.
        interval: Method, used wherever it is defined for estimate and log; gaussian stands in elsewhere and says so.
        reward_range: The manifest's declared (smallest, largest) reward.
        weight_range: Declared range of importance weights, for cressie_read and empirical_bernstein.
        cross_fit: Fit the reward model on other folds than it predicts; False only to compare with tools that do not.
        folds: Of cross-fitting.
        seed: Of folds and resampling.
        replicates: Of the bootstrap.
    """

    confidence: float = 0.95
    interval: IntervalMethod = "gaussian"
    reward_range: tuple[float, float] = (0.0, 1.0)
    weight_range: WeightRange = field(default_factory=WeightRange)
    cross_fit: bool = True
    folds: int = 5
    seed: int = 0
    replicates: int = 2000


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What the report calls things.

    Args:
        log: Name of the log.
        candidate: Name of the candidate.
        manifest_sha: SHA-256 of the candidate's manifest.
        model_sha: SHA-256 of the candidate's model bytes.
    """

    log: str
    candidate: str
    manifest_sha: str | None = None
    model_sha: str | None = None


def evaluate(
    rounds: LoggedRounds,
    candidate: Floats,
    labels: Labels,
    *,
    reward_model: RewardModel | None = None,
    settings: EvaluationSettings | None = None,
    quality: LogQuality | None = None,
    mixture_propensity: Float64s | None = None,
    gate: Callable[[tuple[Reason, ...]], Verdict] | None = None,
) -> EvaluationReport:
    """Evaluate the candidate by every estimator, cross-fitted DR first, and hold the log against the diagnostics.

    Args:
        rounds: The log.
        candidate: π_e(a|x), shape (n, K).
        labels: Names and fingerprints for the report.
        reward_model: Unfitted; None takes the smoothed mean.
        settings: How; None takes the defaults.
        quality: What else is known about the log.
        mixture_propensity: Probability of the logged action under all logging versions pooled, shape (n,).
        gate: Turns the diagnostics' refusals into a verdict; without one the answer is never "go".

    Raises:
        InvalidInput: Names the field and row at fault.
    """
    settings = settings or EvaluationSettings()
    model = reward_model or SmoothedMean()
    plain = ScoredRounds(rounds, candidate, None, mixture_propensity)
    batch = plain.with_predictions(predictions(plain, model, settings, None))
    estimates = {name: _estimate(kind, batch, settings) for name, kind in ESTIMATORS.items() if name != "mrdr"}
    diagnostics = diagnose(batch, quality, settings.reward_range[1])
    # The second set of predictions comes last and alone: it is as large as the log's own arrays.
    del batch
    robust = plain.with_predictions(
        predictions(plain, model, settings, mrdr_weight(plain.weight, plain.rounds.propensity))
    )
    estimates["mrdr"] = _estimate(ESTIMATORS["mrdr"], robust, settings)
    refusals = diagnostics.reasons(Level.REFUSE)
    verdict = gate(refusals) if gate else without_gate(refusals, diagnostics.reasons(Level.AMBER))
    return EvaluationReport(
        log=labels.log,
        candidate=labels.candidate,
        headline=HEADLINE,
        estimates={name: estimates[name] for name in ESTIMATORS},
        diagnostics=diagnostics,
        verdict=verdict,
        provenance=Provenance(
            log_from=_moment(rounds.logged_at.min()) if len(rounds) else None,
            log_to=_moment(rounds.logged_at.max()) if len(rounds) else None,
            manifest_sha=labels.manifest_sha,
            model_sha=labels.model_sha,
            seed=settings.seed,
            code_version=version("cxi-bandit"),
        ),
    )


def predictions(
    batch: ScoredRounds, model: RewardModel, settings: EvaluationSettings, weight: Float64s | None
) -> Floats:
    """What `model` predicts for `batch` as `settings` has it fitted, shape (n, K).

    Args:
        batch: Its predictions, if any, are not looked at.
        model: Unfitted.
        settings: How.
        weight: Fitting weight of each row, shape (n,); None weighs them equally.
    """
    if not settings.cross_fit:
        return fit_on_same_rows(batch.rounds, model, weight=weight)
    precision = batch.candidate.dtype
    return cross_fit(batch.rounds, model, folds=settings.folds, seed=settings.seed, weight=weight, precision=precision)


def _estimate(kind: type[Estimator], batch: ScoredRounds, settings: EvaluationSettings) -> Estimate:
    estimator = kind()
    estimator.update(batch)
    result = estimator.result()
    interval = interval_of(estimator, batch, settings)
    finite = isfinite(interval.lo) and isfinite(interval.hi)
    return Estimate(
        value=result.value if isfinite(result.value) else None,
        interval=(interval.lo, interval.hi) if finite else None,
        interval_method=interval.name,
        confidence=interval.confidence,
        target=estimator.target,
        assumptions=interval.assumptions,
    )


def interval_of(estimator: Estimator, batch: ScoredRounds, settings: EvaluationSettings) -> Interval:
    """The interval `settings.interval` around `estimator`, which has seen `batch`; gaussian where it is not defined."""
    confidence, name = settings.confidence, estimator.name
    if settings.interval in BY_ROW and batch.rounds.shoppers_return:
        return gaussian(estimator.result(), confidence)
    match settings.interval:
        case "bootstrap":
            bootstrap = Bootstrap(estimator)
            bootstrap.update(batch)
            return bootstrap.result(confidence, settings.replicates, settings.seed)
        case "cressie_read" if isinstance(estimator, MeanEstimator) and name in {"ips", "dr", "mrdr"}:
            cressie_read = CressieRead(estimator, settings.weight_range, settings.reward_range)
            cressie_read.update(batch)
            return cressie_read.result(confidence)
        case "empirical_bernstein" if isinstance(estimator, MeanEstimator) and name in {"ips", "dr", "mrdr"}:
            if not isfinite(settings.weight_range.hi):
                raise InvalidInput("weight_range", "empirical_bernstein needs a declared largest weight")
            q_range = None if name == "ips" else batch.q_range
            bound = ScoreBound(settings.reward_range, q_range).over(settings.weight_range.hi)
            return empirical_bernstein(estimator, bound, confidence)
        case "confidence_sequence" if name == "ips":
            sequence = ConfidenceSequence(settings.reward_range)
            sequence.update(batch)
            return sequence.result(confidence)
        case _:
            return gaussian(estimator.result(), confidence)


def without_gate(refusals: tuple[Reason, ...], amber: tuple[Reason, ...]) -> Verdict:
    """Refuse what the diagnostics refuse; else wait: an interval looked at once is no evidence to go live."""
    if refusals:
        return Verdict(decision=Ruling.REFUSE, reasons=refusals)
    missing = Reason("no_gate", "Estimates alone never say go: run the gate's trial on this log.")
    return Verdict(decision=Ruling.WAIT, reasons=(missing, *amber))


def _moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(float(epoch_seconds), UTC)
