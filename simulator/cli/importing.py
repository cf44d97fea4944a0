"""`cxi-bandit import`: logs that somebody else made, brought into the store to be replayed."""

from pathlib import Path
from typing import Any

import rich_click as click

from cxi_bandit.cli.command import CommandGroup
from cxi_bandit.cli.options import AS_JSON, database_options

_PAGE = "howto/bring-your-own-log.md"
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_LOG = click.option(
    "--log",
    "name",
    required=True,
    help="Name the log gets; it must be new.",
)


@click.group(
    "import",
    cls=CommandGroup,
    page=_PAGE,
    examples=(("cxi-bandit import parquet search.parquet --log search-monday", "what `export` wrote"),),
)
def import_() -> None:
    """Bring a log that somebody else made into the store, to be replayed."""


@import_.command(
    "obd",
    page="howto/replay-a-log.md",
    examples=(
        ("cxi-bandit import obd all.csv --items item_context.csv --log obd-all", "a campaign with its items"),
        ("cxi-bandit import obd all.csv --log obd-all --json", "as a program would"),
    ),
)
@click.argument("file", type=_FILE)
@click.option(
    "--items",
    type=_FILE,
    help="The campaign's items file, for item features.",
)
@_LOG
@AS_JSON
@database_options
def obd(file: Path, items: Path | None, name: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Import FILE, a CSV file of the Open Bandit Dataset, gzipped or not: all of it, or, when a row is bad, nothing."""
    # Imported late: `cxi-bandit --help` must not wait for what only this command needs.
    from simulator.cli.import_obd import run  # noqa: PLC0415

    run(file, items, name, options, as_json=as_json)


@import_.command(
    "parquet",
    page=_PAGE,
    examples=(("cxi-bandit import parquet search.parquet --log search-monday", "what `export` wrote"),),
)
@click.argument("file", type=_FILE)
@_LOG
@AS_JSON
@database_options
def parquet(file: Path, name: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Import FILE, written by `export --format parquet`: all of it, or, when a row is bad, nothing."""
    from simulator.cli.import_files import run_parquet  # noqa: PLC0415 - as above

    run_parquet(file, name, options, as_json=as_json)


@import_.command(
    "dsjson",
    page=_PAGE,
    examples=(
        (
            "cxi-bandit import dsjson search.dsjson --log search-vw --reward-range -1 10",
            "with the range that rewards may have",
        ),
    ),
)
@click.argument("file", type=_FILE)
@_LOG
@click.option(
    "--reward-range",
    type=float,
    nargs=2,
    default=(0.0, 1.0),
    show_default=True,
    help="Declared smallest and largest reward, which is minus the cost.",
)
@click.option(
    "--smallest-propensity",
    type=click.FloatRange(0, 1, min_open=True),
    help="Declared floor of the logging policy.",
    show_default="unknown",
)
@AS_JSON
@database_options
def dsjson(
    file: Path,
    name: str,
    reward_range: tuple[float, float],
    smallest_propensity: float | None,
    *,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """Import FILE, Vowpal Wabbit's DSJSON, gzipped or not: all of it, or, when a line is bad, nothing."""
    from simulator.cli.import_files import run_dsjson  # noqa: PLC0415 - as above

    run_dsjson(file, name, reward_range, smallest_propensity, options, as_json=as_json)


@import_.command(
    "table",
    page=_PAGE,
    examples=(("cxi-bandit import table orders.csv --mapping mapping.toml --log orders", "any table with a mapping"),),
)
@click.argument("file", type=_FILE)
@click.option(
    "--mapping",
    required=True,
    type=_FILE,
    help="TOML file that says which column is what.",
)
@_LOG
@AS_JSON
@database_options
def table(file: Path, mapping: Path, name: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Import FILE (.parquet, .csv, .ndjson, .arrow) through a mapping: all of it, or, when a row is bad, nothing."""
    from simulator.cli.import_files import run_table  # noqa: PLC0415 - as above

    run_table(file, mapping, name, options, as_json=as_json)
