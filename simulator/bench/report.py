"""The report: every figure of a run with the machine it was taken on, as one JSON document or as a table."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from simulator.bench.figures import Figure, Target

_PACKAGES: Final = ("granian", "litestar", "msgspec", "psycopg", "uvloop", "vowpalwabbit", "cxi-bandit")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    Attributes:
        seconds: Of each load in a closed loop.
        load_average: Of the machine's last minute, before and after: what else it had to do shows here.
    """

    at: datetime
    machine: dict[str, str]
    versions: dict[str, str]
    rounds: int
    seconds: float
    load_average: tuple[float, float]
    figures: list[Figure]


def machine() -> dict[str, str]:
    """What it is measured on."""
    return {
        "processors": str(os.cpu_count()),
        "model": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """What it is measured with."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def report(figures: Sequence[Figure], rounds: int, seconds: float, load_before: float) -> Report:
    """The figures of a run that has just ended."""
    return Report(
        at=datetime.now(UTC),
        machine=machine(),
        versions=versions(),
        rounds=rounds,
        seconds=seconds,
        load_average=(load_before, os.getloadavg()[0]),
        figures=list(figures),
    )


def read_report(path: Path) -> Report:
    """A report that was written before."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def as_json(made: Report) -> str:
    """One document."""
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def show(made: Report, console: Console) -> None:
    """The table."""
    headings = ("row", "", "measured", "beside", "ratio", "quartiles", "target", "met")
    table = Table(*headings, title="Benchmark", title_justify="left")
    for figure in made.figures:
        row = figure.row
        against = "-" if figure.against is None else f"{row.beside}: {_number(figure.against)}"
        table.add_row(
            row.name,
            row.title,
            f"{_number(figure.measured)} {row.unit}",
            against,
            "-" if figure.ratio is None else f"{figure.ratio:.2f}",
            " … ".join(_number(bound) for bound in figure.spread),
            ", ".join(target_words(target, row.unit) for target in row.targets) or "-",
            _verdict(figure),
        )
    console.print(table)
    console.print(f"{made.rounds} interleaved rounds, loads of {made.seconds:g} s, {made.at:%Y-%m-%d %H:%M} UTC")
    before, after = made.load_average
    console.print(", ".join(made.machine.values()) + f"; load {before:.2f} before, {after:.2f} after")
    console.print(", ".join(f"{name} {number}" for name, number in made.versions.items()))


def target_words(target: Target, unit: str) -> str:
    """A target as the table shows it."""
    sign = "≥" if target.sense == "at least" else "≤"
    return f"{sign} {target.bound:g}" if target.of == "ratio" else f"{sign} {_number(target.bound)} {unit}"


def _verdict(figure: Figure) -> str:
    words = "-" if figure.met is None else "yes" if figure.met else "NO"
    return f"{words} ({figure.refused} refused)" if figure.refused else words


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - from there on digits are noise


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
