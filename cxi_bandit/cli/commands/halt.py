"""The declaration of `cxi-bandit halt`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import HALTS, POLICIES
from cxi_bandit.cli.options import ACTOR, AS_JSON, IDENTIFIER, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.halt:halt",
    page="howto/promote.md",
    examples=(
        ('cxi-bandit halt search --reason "the shop is down"', "hold everything of one policy"),
        ('cxi-bandit halt --reason "a flood of complaints"', "hold everything there is"),
        ("cxi-bandit halt --lift 2", "go on, by the id that `overrides` shows"),
    ),
)
@click.argument("policy", required=False, shell_complete=POLICIES)
@click.option("--reason", help="Why, for the audit trail.")
@click.option("--lift", type=IDENTIFIER, shell_complete=HALTS, help="Lift this halt instead, by its id.")
@ACTOR
@AS_JSON
@database_options
def halt() -> None:
    """Send everything of POLICY, or of all policies, to `hold` until the halt is lifted."""
