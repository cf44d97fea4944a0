"""`make bench`: what durability, learning and proof cost beside a bare handler, as ratios taken in one run."""

import os
import sys
from pathlib import Path
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from simulator.bench.compare import WORST, falls
from simulator.bench.figures import Figure, figure
from simulator.bench.plan import Plan, Scene
from simulator.bench.report import Report, as_json, read_report, report, show
from simulator.bench.scenes import (
    catalogue,
    choosing,
    freshness,
    learning,
    long_log,
    memory,
    profiles,
    quality,
    requests,
    starts,
    swaps,
    workers,
)
from simulator.bench.servers import POLICY

SCENES: Final[tuple[Scene, ...]] = (
    requests.SCENE,
    choosing.SCENE,
    profiles.SCENE,
    swaps.SCENE,
    learning.SCENE,
    freshness.SCENE,
    catalogue.SCENE,
    starts.SCENE,
    workers.SCENE,
    quality.SCENE,
    long_log.SCENE,
    memory.SCENE,
)
RECORDED: Final = Path(__file__).with_name("recorded.json")
_FELL: Final = 1
_WIDTH: Final = 160


@click.command()
@click.argument("rows", nargs=-1)
@click.option("--rounds", type=click.IntRange(1, 1000), default=15, show_default=True, help="Interleaved rounds.")
@click.option("--seconds", type=click.FloatRange(0.1, 30.0), default=1.0, show_default=True, help="Of each load.")
@click.option("--long", "long_rows", is_flag=True, help="The long rows instead of the usual ones.")
@click.option("--logged", type=click.IntRange(10_000), default=10_000_000, show_default=True, help="Of the long rows.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=POLICY,
    help="The manifest served. [default: the bench's own]",
)
@click.option(
    "--quality",
    "quality_json",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("quality.json"),
    show_default=True,
    help="The JSON document of the study of quality; its row is left out where there is none.",
)
@click.option("--json", "json_only", is_flag=True, help="One JSON document on stdout, nothing else.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON document there, too.")
@click.option(
    "--from", "given", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A report instead of a run."
)
@click.option("--compare", is_flag=True, help="Exit 1 where a ratio fell by more than a fifth since it was recorded.")
@click.option("--record", is_flag=True, help="Record these figures, over those of the same rows.")
@click.option(
    "--recorded",
    type=click.Path(path_type=Path, dir_okay=False),
    default=RECORDED,
    help="The recorded figures. [default: those in the repository]",
)
@click.option("--list", "list_only", is_flag=True, help="Name the rows.")
def bench(
    *,
    rows: tuple[str, ...],
    rounds: int,
    seconds: float,
    long_rows: bool,
    logged: int,
    policy: Path,
    quality_json: Path,
    json_only: bool,
    output: Path | None,
    given: Path | None,
    compare: bool,
    record: bool,
    recorded: Path,
    list_only: bool,
) -> None:
    """Measure the service on loopback; ROWS picks some of the table."""
    console = Console(stderr=json_only)
    if not console.is_terminal:
        console = Console(stderr=json_only, width=_WIDTH)
    if list_only:
        for scene in SCENES:
            for row in scene.rows:
                console.print(f"{row.name:20} {'long  ' if scene.long else 'usual '} {row.title}", highlight=False)
        return
    if compare and not recorded.exists():
        raise click.BadParameter(f"{recorded} is not there; write it with --record", param_hint="--recorded")
    if given is not None:
        made = read_report(given)
    else:
        load_before = os.getloadavg()[0]
        plan = Plan(rounds=rounds, seconds=seconds, policy=policy, logged=logged, quality=quality_json)
        made = report(_measured(plan, _wanted(rows, long_rows)), rounds, seconds, load_before)
    if output is not None:
        output.write_text(as_json(made), "utf-8")
    if json_only:
        sys.stdout.write(as_json(made))
    else:
        show(made, console)
    fell = compare and not _stands(made, recorded, console)
    if record:
        _record(made, recorded)
    if fell:
        sys.exit(_FELL)


def _wanted(rows: tuple[str, ...], long_rows: bool) -> frozenset[str]:
    known = {row.name: scene for scene in SCENES for row in scene.rows}
    for name in rows:
        if name not in known:
            raise click.BadParameter(f"{name} is no row; known: {', '.join(known)}", param_hint="ROWS")
    return frozenset(rows or (name for name, scene in known.items() if scene.long == long_rows))


def _measured(plan: Plan, wanted: frozenset[str]) -> list[Figure]:
    figures = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)
        told = plan.telling(lambda words: progress.update(task, description=words))
        for scene in SCENES:
            mine = wanted & {row.name for row in scene.rows}
            if not mine:
                continue
            progress.update(task, description=f"{scene.name}: setting up")
            samples = scene.measure(told, mine)
            figures += [figure(row, samples[row.name]) for row in scene.rows if samples.get(row.name)]
    return figures


def _stands(made: Report, recorded: Path, console: Console) -> bool:
    found = falls(read_report(recorded), made)
    for fall in found:
        console.print(
            f"{fall.name}: ratio {fall.ratio:.3g}, recorded {fall.recorded:.3g}: "
            f"{1 - fall.left:.0%} worse, more than {1 - WORST:.0%}",
            style="bold red",
            highlight=False,
        )
    if not found:
        console.print("no ratio fell since it was recorded", highlight=False)
    return not found


def _record(made: Report, recorded: Path) -> None:
    """Over the figures of the same rows; rows that were not measured now keep what was recorded."""
    recorded.write_text(as_json(merged(read_report(recorded) if recorded.exists() else None, made)), "utf-8")


def merged(before: Report | None, made: Report) -> Report:
    """The run's report with the figures of rows it did not measure from the one before."""
    names = {figure.row.name for figure in made.figures}
    kept = [figure for figure in before.figures if figure.row.name not in names] if before is not None else []
    order = [row.name for scene in SCENES for row in scene.rows]
    figures = sorted([*made.figures, *kept], key=lambda one: order.index(one.row.name))
    return msgspec.structs.replace(made, figures=figures)


if __name__ == "__main__":
    bench()
