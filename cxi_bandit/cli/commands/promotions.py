"""The declaration of `cxi-bandit promotions`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.promotions:promotions",
    page="howto/promote.md",
    examples=(
        ("cxi-bandit promotions", "what was proposed, and how far it is"),
        ("cxi-bandit promotions search --json", "of one policy, for a program"),
    ),
)
@click.argument("policy", required=False, shell_complete=POLICIES)
@AS_JSON
@database_options
def promotions() -> None:
    """Show the promotions of POLICY, or of all, oldest first."""
