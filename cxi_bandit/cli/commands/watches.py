"""The declaration of `cxi-bandit watches`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.watches:watches",
    page="explanation/watching.md",
    examples=(("cxi-bandit watches search", "the evidence so far, and what each watch goes off at"),),
)
@click.argument("policy", shell_complete=POLICIES)
@AS_JSON
@database_options
def watches() -> None:
    """Show where the watches of POLICY stand, and what became of the forecasts of its promotions."""
