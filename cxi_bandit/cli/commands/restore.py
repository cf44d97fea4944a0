"""The declaration of `cxi-bandit restore`."""

from pathlib import Path

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.restore:restore",
    page="howto/back-up-and-restore.md",
    examples=(("cxi-bandit restore monday --data-dir recovered", "into a new place, to be served from there"),),
)
@click.argument("source", metavar="FROM", type=click.Path(path_type=Path, exists=True, file_okay=False))
@AS_JSON
@database_options
def restore() -> None:
    """Fill an empty --data-dir (or, from a dump, an empty --database-url) with the backup in the directory FROM.

    Nothing is ever overwritten. Then `serve` from there; `audit` proves that it is what it was.
    """
