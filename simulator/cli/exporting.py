"""`cxi-bandit export`: a log as a file that others can read."""

from pathlib import Path
from typing import Any, Literal

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import LOGS
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    "export",
    cls=Command,
    page="howto/bring-your-own-log.md",
    examples=(
        ("cxi-bandit export --log search --out search.parquet", "a policy's live log, with everything in it"),
        ("cxi-bandit export --log search --format dsjson --out search.dsjson", "what Vowpal Wabbit reads"),
    ),
)
@click.option(
    "--log",
    "name",
    required=True,
    shell_complete=LOGS,
    help="An imported log, or a policy's live log.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "dsjson"]),
    default="parquet",
    show_default=True,
    help="Parquet keeps everything; DSJSON is what Vowpal Wabbit reads.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; one that is there is replaced.",
)
@AS_JSON
@database_options
def export(name: str, form: Literal["parquet", "dsjson"], out: Path, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Write a log, with its propensities, vectors, rewards and contexts, to a file."""
    # Imported late: `cxi-bandit --help` must not wait for what only this command needs.
    from simulator.cli.run_export import run  # noqa: PLC0415

    run(name, form, out, options, as_json=as_json)
