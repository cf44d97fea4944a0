"""A replay that never holds its log: read, scored and written down part by part, then evaluated in partitions."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cxi_bandit.domain.errors import InvalidInput
from simulator.candidates import Candidate, Prepared
from simulator.datasets.imported import ImportedParts
from simulator.evaluate import Labels
from simulator.logging_facts import fallback_notes, interval_notes
from simulator.partitions import ArrayFiles, ArrayWriter, Partition, evaluate_partitions
from simulator.partitions.partition import PARTITION_ROWS
from simulator.progress import Track, silent
from simulator.replay import Extremes, Replay, ReplaySettings, evaluation_settings, fitted_note


@dataclass(frozen=True, eq=False, kw_only=True)
class LaidOut:
    """A candidate met with a log, their numbers in files.

    Args:
        parts: The log.
        spec: What the report calls the candidate.
        last: The candidate met with the log's last part; what it says of itself is the same in all parts.
        fallbacks: On how many rows of the whole log its model did not speak, by reason.
        seen: In the whole log.
        sources: The partitions.
    """

    parts: ImportedParts
    spec: str
    last: Prepared
    fallbacks: dict[str, int]
    seen: Extremes
    sources: list[ArrayFiles]


def lay_out(
    parts: ImportedParts,
    candidate: Candidate,
    folder: Path,
    track: Track = silent,
    partition_rows: int = PARTITION_ROWS,
) -> LaidOut:
    """Reads and scores the log part by part, and writes what partitions are made of.

    Args:
        parts: The log.
        candidate: One that goes by row.
        folder: Empty; must stay until the log is evaluated, and be readable wherever it is.
        track: Hears of rows done.
        partition_rows: Another number gives other last digits.

    Raises:
        InvalidInput: The log is empty, or the candidate cannot be asked about it.
    """
    if not candidate.by_row:
        raise InvalidInput("candidate", f"{candidate.spec} needs the whole log at once")
    fallbacks: Counter[str] = Counter()
    last: Prepared | None = None
    seen: Extremes | None = None
    with track("Reading and scoring the log", len(parts)) as advance, ArrayWriter(folder, len(parts)) as writer:
        for part in parts.read():
            last = candidate.prepare(part, silent)
            rounds, probabilities = last.log.rounds, last.probabilities
            writer.append(Partition(rounds=rounds, candidate=probabilities))
            here = Extremes.of(rounds.propensity, probabilities)
            seen = here if seen is None else seen | here
            fallbacks.update(last.fallbacks)
            advance(len(part))
    if last is None or seen is None:
        raise InvalidInput("log", f"{parts.log.name} has no rows")
    return LaidOut(
        parts=parts,
        spec=candidate.spec,
        last=last,
        fallbacks=dict(fallbacks),
        seen=seen,
        sources=writer.files(partition_rows),
    )


def assess_laid_out(laid: LaidOut, settings: ReplaySettings, track: Track = silent) -> Replay:
    """The report that `simulator.replay.replay` gives on the same engine, digit by digit.

    Raises:
        InvalidInput: A setting makes no sense, or needs the whole log at once.
    """
    if not settings.in_parts:
        raise InvalidInput("engine", "what is asked for needs the whole log at once")
    log, last = laid.parts.log, laid.last
    report = evaluate_partitions(
        laid.sources,
        Labels(log=log.name, candidate=laid.spec, manifest_sha=last.manifest_sha, model_sha=last.model_sha),
        settings=evaluation_settings(settings, last.log.reward_range, log.smallest_propensity, laid.seen),
        engine=settings.engine,
        track=track,
    )
    notes = (*last.notes, *fallback_notes(laid.fallbacks, len(laid.parts)), *laid.parts.notes)
    notes += interval_notes(report.diagnostics, settings.interval)
    return Replay(report=report, notes=(*notes, fitted_note(settings.reward_model, settings.folds_asked)))
