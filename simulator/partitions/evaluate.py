"""Evaluate a log in partitions: two passes, each a map over the partitions and a sum in their order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from math import isfinite
from typing import Final, Generic, Protocol, Self, TypeVar

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Estimate, EvaluationReport, Level, Provenance
from cxi_bandit.domain.gate import Reason, Verdict
from simulator.diagnostics import held_against_limits
from simulator.estimators import ESTIMATORS
from simulator.evaluate import HEADLINE, EvaluationSettings, Labels, without_gate
from simulator.log_quality import Rates
from simulator.partitions.engines import Engine, OneProcess
from simulator.partitions.evidence import Evidence, Plan
from simulator.partitions.first_look import FirstLook
from simulator.partitions.partition import Source
from simulator.progress import Track, silent

BLOCK_ROWS: Final = 16_384
"""Rows handled at once within a partition. Another number gives other last digits, so it is no setting."""


class Addable(Protocol):
    """Sums of some rows."""

    def __add__(self, later: Self, /) -> Self:
        """The sums of these rows and of those right after them."""
        ...


Sums = TypeVar("Sums", bound=Addable)


@dataclass(frozen=True)
class _Seen(Generic[Sums]):
    """What one partition gave, and how many rows it had."""

    sums: Sums | None
    rows: int


def evaluate_partitions(
    sources: Sequence[Source],
    labels: Labels,
    *,
    settings: EvaluationSettings | None = None,
    engine: Engine | None = None,
    rates: Rates | None = None,
    gate: Callable[[tuple[Reason, ...]], Verdict] | None = None,
    track: Track = silent,
) -> EvaluationReport:
    """As `simulator.evaluate.evaluate`, but never holding more than a few partitions, and on any engine.

    The first pass fits the smoothed-mean reward model (unless partitions bring predictions) and finds what only the
    whole log can tell; the second gathers every estimate's, interval's and diagnostic's sums. Partitions are added in
    their order as neighbours, so the digits depend on how the log is cut, never on the engine. Fitted on the same rows,
    they are those of `evaluate` up to rounding; cross-fitting puts rows in folds by hash, where `evaluate` shuffles.

    Args:
        sources: The log's partitions, in decision order.
        labels: Names and fingerprints for the report.
        settings: How; None takes the defaults. `bootstrap` alone needs memory that grows with the log.
        engine: Where; None works here.
        rates: Completeness and activation, which are no sums: they compare rows of one age, a rank in the whole log.
        gate: Turns the diagnostics' refusals into a verdict; without one the answer is never "go".
        track: Hears of rows done in both passes.

    Raises:
        InvalidInput: Names the field and row at fault, the row within its partition; or the log is empty.
    """
    settings, engine = settings or EvaluationSettings(), engine or OneProcess()
    first = _gathered(engine, partial(_first_look, settings), sources, track, "Fitting reward models")
    if first is None:
        raise InvalidInput("log", f"{labels.log} has no rows")
    plan = first.plan(settings, BLOCK_ROWS)
    evidence = _gathered(engine, partial(_evidence, plan), sources, track, "Evaluating", first.rows)
    if evidence is None:
        raise InvalidInput("log", "partitions must give the same rows in both passes")
    diagnostics = held_against_limits(evidence.overlap.findings(), rates)
    refusals = diagnostics.reasons(Level.REFUSE)
    return EvaluationReport(
        log=labels.log,
        candidate=labels.candidate,
        headline=HEADLINE,
        estimates={name: _estimate(evidence, name, settings) for name in ESTIMATORS},
        diagnostics=diagnostics,
        verdict=gate(refusals) if gate else without_gate(refusals, diagnostics.reasons(Level.AMBER)),
        provenance=Provenance(
            log_from=datetime.fromtimestamp(first.period[0], UTC),
            log_to=datetime.fromtimestamp(first.period[1], UTC),
            manifest_sha=labels.manifest_sha,
            model_sha=labels.model_sha,
            seed=settings.seed,
            code_version=version("cxi-bandit"),
        ),
    )


def added_in_order(parts: Iterable[Sums]) -> Sums | None:
    """The sum of neighbours, of sums of neighbours, and so on: a tree shaped by the number of parts alone.

    Holds one sum a level, so memory grows with the logarithm of their number, and so does the rounding.
    """
    levels: list[tuple[int, Sums]] = []
    for part in parts:
        size, total = 1, part
        while levels and levels[-1][0] == size:
            total = levels.pop()[1] + total
            size *= 2
        levels.append((size, total))
    whole: Sums | None = None
    for _, total in reversed(levels):
        whole = total if whole is None else total + whole
    return whole


def _first_look(settings: EvaluationSettings, source: Source) -> "_Seen[FirstLook]":
    partition = source.load()
    return _Seen(FirstLook.of(partition, settings, BLOCK_ROWS), len(partition))


def _evidence(plan: Plan, source: Source) -> "_Seen[Evidence]":
    partition = source.load()
    return _Seen(Evidence.of(partition, plan), len(partition))


def _gathered(
    engine: Engine,
    work: Callable[[Source], "_Seen[Sums]"],
    sources: Sequence[Source],
    track: Track,
    description: str,
    rows: int | None = None,
) -> Sums | None:
    with track(description, rows) as advance:

        def arriving() -> Iterator[Sums]:
            done = 0
            for number, seen in enumerate(engine.run(work, sources), start=1):
                done += seen.rows
                advance(seen.rows, rows or done * len(sources) // number)
                if seen.sums is not None:
                    yield seen.sums

        return added_in_order(arriving())


def _estimate(evidence: Evidence, name: str, settings: EvaluationSettings) -> Estimate:
    result = evidence.estimators[name].result()
    interval = evidence.interval(name, settings)
    finite = isfinite(interval.lo) and isfinite(interval.hi)
    return Estimate(
        value=result.value if isfinite(result.value) else None,
        interval=(interval.lo, interval.hi) if finite else None,
        interval_method=interval.name,
        confidence=interval.confidence,
        target=evidence.estimators[name].target,
        assumptions=interval.assumptions,
    )
