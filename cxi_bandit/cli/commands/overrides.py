"""The declaration of `cxi-bandit overrides`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.overrides:overrides",
    page="howto/promote.md",
    examples=(
        ("cxi-bandit overrides", "what is pinned or halted now, with the ids to lift"),
        ("cxi-bandit overrides search --all", "what ever was, of one policy"),
    ),
)
@click.argument("policy", required=False, shell_complete=POLICIES)
@click.option("--all", "every", is_flag=True, help="Also those that were lifted or have expired.")
@AS_JSON
@database_options
def overrides() -> None:
    """Show the overrides in force, of POLICY or of all, halts among them."""
