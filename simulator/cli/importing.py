"""`cxi-bandit import`: logs that somebody else made, brought into the store to be replayed."""

from pathlib import Path
from typing import Any

import rich_click as click

from cxi_bandit.cli.options import AS_JSON, database_options

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("import")
def import_() -> None:
    """Bring a log that somebody else made into the store, to be replayed."""


@import_.command("obd")
@click.argument("file", type=_FILE)
@click.option(
    "--items",
    type=_FILE,
    help="The campaign's items file, for item features.",
    envvar="CXI_BANDIT_ITEMS",
    show_envvar=True,
)
@click.option(
    "--log",
    "name",
    required=True,
    envvar="CXI_BANDIT_LOG",
    show_envvar=True,
    help="Name the log gets; it must be new.",
)
@AS_JSON
@database_options
def obd(file: Path, items: Path | None, name: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Import FILE, a CSV file of the Open Bandit Dataset, gzipped or not: all of it, or, when a row is bad, nothing."""
    # Imported late: `cxi-bandit --help` must not wait for what only this command needs.
    from simulator.cli.import_obd import run  # noqa: PLC0415

    run(file, items, name, options, as_json=as_json)
