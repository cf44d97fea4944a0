"""The declaration of `cxi-bandit shadow`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES
from cxi_bandit.cli.options import ACTOR, AS_JSON, OF_VERSION, database_options, starting_model


@click.command(
    cls=Command,
    work="cxi_bandit.cli.shadow:shadow",
    page="howto/promote.md",
    examples=(
        ("cxi-bandit shadow search --version 2", "let version 2 score beside who answers"),
        ("cxi-bandit shadow search --version 2 --leave", "no more"),
    ),
)
@click.argument("policy", shell_complete=POLICIES)
@OF_VERSION
@starting_model("It scores with this one.")
@click.option("--leave", is_flag=True, help="It shadows no more.")
@ACTOR
@AS_JSON
@database_options
def shadow() -> None:
    """Let a version of POLICY score every request, with a model that stays as it is; it answers nobody."""
