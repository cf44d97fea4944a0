"""The declaration of `cxi-bandit backup`."""

from pathlib import Path

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.backup:backup",
    page="howto/back-up-and-restore.md",
    examples=(
        ("cxi-bandit backup", "to a new directory named after this moment"),
        ("cxi-bandit backup --to monday", "to one that you name"),
        ("cxi-bandit backup --dump --to monday.dump --json", "for any PostgreSQL, as a program reads it"),
    ),
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A new directory, readable by you only.",
    show_default="./cxi-bandit-<time>",
)
@click.option("--dump", "as_dump", is_flag=True, help="A logical copy, for any PostgreSQL; DATABASE_URL always is one.")
@AS_JSON
@database_options
def backup() -> None:
    """Copy everything (decisions, rewards, outcomes, models, keys, secrets) while the service goes on; check the copy.

    Everything acknowledged before it began is in it. It holds the secrets too: keep it as you keep them.
    """
