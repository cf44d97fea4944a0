"""The declaration of `cxi-bandit approve`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import PROMOTIONS
from cxi_bandit.cli.options import ACTOR, AS_JSON, IDENTIFIER, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.approve:approve",
    page="howto/promote.md",
    examples=(
        ("cxi-bandit approve 1", "let promotion 1 begin its canary"),
        ("cxi-bandit approve 1 --actor bob --json", "in bob's name, for a program"),
    ),
)
@click.argument("promotion", type=IDENTIFIER, shell_complete=PROMOTIONS)
@ACTOR
@AS_JSON
@database_options
def approve() -> None:
    """Approve PROMOTION, by its id: its canary begins, or without canary shares it goes live.

    Refused, with exit code 1, where the live manifest asks for a second person and you proposed it, and where what is
    live has changed since the trial: then the promotion has ended.
    """
