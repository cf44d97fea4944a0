"""`make bench-replay`: what checks, merges and intervals cost beside bare numpy, and scoring beside VW's own driver."""

import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from simulator.bench.arithmetic import bare, input_bytes, synthetic
from simulator.bench.scoring import ScoringLog, scoring_log
from simulator.evaluate import EvaluationSettings, Labels
from simulator.intervals import WeightRange
from simulator.partitions import Partition, array_slices, evaluate_partitions
from simulator.partitions.partition import PARTITION_ROWS

_LABELS: Final = Labels(log="bench", candidate="bench")
_SETTINGS: Final = EvaluationSettings(interval="cressie_read", weight_range=WeightRange(0.0, 1e6))


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table.

    Attributes:
        measured: Median over the rounds, in `unit`.
        against: What it is held against, median; None where it stands for itself.
        ratio: Median of the rounds' own ratios, measured over against.
        target: In words; None where only reported.
        met: Whether it is; None likewise.
    """

    name: str
    unit: str
    measured: float
    against: float | None
    ratio: float | None
    target: str | None
    met: bool | None


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run, for comparison with later ones."""

    at: datetime
    machine: dict[str, str]
    rounds: int
    figures: list[Figure]


@dataclass(frozen=True, eq=False)
class Repeated:
    """A partition of a long log that is made of the same rows again and again, so that it need not fit anywhere."""

    base: Partition
    first_row: int
    rows: int

    def load(self) -> Partition:
        """Views of the base's rows."""
        start = self.first_row % len(self.base)
        return replace(self.base.take(slice(start, start + self.rows)), first_row=self.first_row)


@click.command()
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Interleaved rounds.")
@click.option("--rows", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Of the log in memory.")
@click.option("--actions", type=click.IntRange(2), default=80, show_default=True, help="Of the log in memory.")
@click.option("--scored", type=click.IntRange(1000), default=200_000, show_default=True, help="Rows scored, 8 actions.")
@click.option("--longest", type=click.IntRange(1000), default=10_000_000, show_default=True, help="Streamed rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")
def bench(rounds: int, rows: int, actions: int, scored: int, longest: int, as_json: bool) -> None:
    """Measure a replay beside bare numpy, and scoring beside VW, in interleaved rounds."""
    with Progress(console=Console(stderr=True)) as progress, TemporaryDirectory() as folder:
        task = progress.add_task("preparing", total=2 * rounds + 3)
        log = synthetic(rows, actions)
        figures = []
        progress.update(task, description="estimates", advance=1)
        times = []
        for _ in range(rounds):
            times.append((_evaluated(log), _seconds(partial(bare, log))))
            progress.advance(task)
        figures.append(_ratio("all estimators with intervals, beside numpy", "s", times, 2.0, at_most=True))
        figures.append(_memory(log))
        progress.update(task, description="streaming", advance=1)
        figures += _streamed(log, longest, rounds)
        del log
        progress.update(task, description="scoring", advance=1)
        logs = {8: scoring_log(Path(folder), scored, 8), 80: scoring_log(Path(folder), scored // 8, 80)}
        seen: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for k, one in logs.items():
                _score(one, k, seen)
            progress.advance(task)
        figures += [
            _ratio(f"scored, {k} actions, {p} process{'es' if p > 1 else ''}, beside vw -t", "rows/s", pairs, 0.8)
            for (k, p), pairs in seen.items()
        ]
    report = ReplayReport(at=datetime.now(UTC), machine=_machine(), rounds=rounds, figures=figures)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
    else:
        _show(report)


def _score(one: ScoringLog, k: int, seen: dict[tuple[int, int], list[tuple[float, float]]]) -> None:
    theirs = one.rows / one.vw()
    for processes in sorted({1, os.cpu_count() or 1}):
        seen.setdefault((k, processes), []).append((one.rows / one.ours(processes), theirs))


def _evaluated(log: Partition) -> float:
    sources = array_slices(log)
    return _seconds(partial(evaluate_partitions, sources, _LABELS, settings=_SETTINGS))


def _memory(log: Partition) -> Figure:
    """What an evaluation allocates at its peak, on top of the arrays it was given."""
    tracemalloc.start()
    evaluate_partitions(array_slices(log), _LABELS, settings=_SETTINGS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    given = input_bytes(log)
    ratio = (given + peak) / given
    return Figure(
        name="peak memory, beside the input arrays",
        unit="MB",
        measured=(given + peak) / 1e6,
        against=given / 1e6,
        ratio=ratio,
        target="<= 1.5",
        met=ratio <= 1.5,  # noqa: PLR2004 - the target
    )


def _streamed(log: Partition, longest: int, rounds: int) -> list[Figure]:
    """Seconds a million rows at each length, all lengths in each round; each is held against the length before it."""
    lengths = [10_000]
    while lengths[-1] * 10 <= longest:
        lengths.append(lengths[-1] * 10)
    per_million: dict[int, list[float]] = {}
    for _ in range(rounds):
        for length in lengths:
            sources = [Repeated(log, start, min(rows, length - start)) for start, rows in _cuts(length, len(log))]
            seconds = _seconds(partial(evaluate_partitions, sources, _LABELS, settings=_SETTINGS))
            per_million.setdefault(length, []).append(seconds / length * 1e6)
    figures = []
    for number, length in enumerate(lengths):
        ratio = None
        if number:
            before = per_million[lengths[number - 1]]
            ratio = median(own / other for own, other in zip(per_million[length], before, strict=True))
        figures.append(
            Figure(
                name=f"streamed {length:,} rows",
                unit="s a million",
                measured=median(per_million[length]),
                against=None,
                ratio=ratio,
                target=None if ratio is None else "<= 1.2 of the length before",
                met=None if ratio is None else ratio <= 1.2,  # noqa: PLR2004 - the target
            )
        )
    return figures


def _cuts(length: int, base: int) -> list[tuple[int, int]]:
    """First row and rows of partitions that never run over the end of the repeated rows."""
    return [
        (turn + start, min(PARTITION_ROWS, base - start))
        for turn in range(0, length, base)
        for start in range(0, min(base, length - turn), PARTITION_ROWS)
    ]


def _ratio(name: str, unit: str, pairs: list[tuple[float, float]], target: float, *, at_most: bool = False) -> Figure:
    ratio = median(ours / theirs for ours, theirs in pairs)
    return Figure(
        name=name,
        unit=unit,
        measured=median(ours for ours, _ in pairs),
        against=median(theirs for _, theirs in pairs),
        ratio=ratio,
        target=f"{'<=' if at_most else '>='} {target:g}",
        met=ratio <= target if at_most else ratio >= target,
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _machine() -> dict[str, str]:
    return {
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
        "blas threads": os.environ.get("OPENBLAS_NUM_THREADS", "as many as it likes"),
        **{name: version(name) for name in ("numpy", "polars", "vowpalwabbit", "cxi-bandit")},
    }


def _show(report: ReplayReport) -> None:
    table = Table(
        "figure", "unit", "measured", "against", "ratio", "target", "met", title="Replay", title_justify="left"
    )
    for figure in report.figures:
        against = "-" if figure.against is None else f"{figure.against:,.4g}"
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
        met = "-" if figure.met is None else "yes" if figure.met else "NO"
        table.add_row(figure.name, figure.unit, f"{figure.measured:,.4g}", against, ratio, figure.target or "-", met)
    console = Console()
    console.print(table)
    console.print(f"{report.rounds} interleaved rounds on {report.machine}")


if __name__ == "__main__":
    bench()
