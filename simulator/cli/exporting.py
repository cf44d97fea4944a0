"""`cxi-bandit export`: a log as a file that others can read."""

from pathlib import Path
from typing import Any, Literal

import rich_click as click

from cxi_bandit.cli.options import AS_JSON, database_options


@click.command("export")
@click.option(
    "--log",
    "name",
    required=True,
    envvar="CXI_BANDIT_LOG",
    show_envvar=True,
    help="An imported log, or a policy's live log.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "dsjson"]),
    default="parquet",
    show_default=True,
    envvar="CXI_BANDIT_FORMAT",
    show_envvar=True,
    help="Parquet keeps everything; DSJSON is what Vowpal Wabbit reads.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="CXI_BANDIT_OUT",
    show_envvar=True,
    help="File to write; one that is there is replaced.",
)
@AS_JSON
@database_options
def export(name: str, form: Literal["parquet", "dsjson"], out: Path, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Write a log, with its propensities, vectors, rewards and contexts, to a file."""
    # Imported late: `cxi-bandit --help` must not wait for what only this command needs.
    from simulator.cli.run_export import run  # noqa: PLC0415

    run(name, form, out, options, as_json=as_json)
