"""The declaration of `cxi-bandit shadow`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import MODELS, POLICIES, VERSIONS
from cxi_bandit.cli.options import ACTOR, AS_JSON, IDENTIFIER, VERSION, database_options


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
@click.option("--version", type=VERSION, required=True, shell_complete=VERSIONS, help="Of the policy's manifest.")
@click.option(
    "--model",
    type=IDENTIFIER,
    shell_complete=MODELS,
    help="It scores with this one.",
    show_default="the head of a version that learns continuously, or else the cold start",
)
@click.option("--leave", is_flag=True, help="It shadows no more.")
@ACTOR
@AS_JSON
@database_options
def shadow() -> None:
    """Let a version of POLICY score every request, with a model that stays as it is; it answers nobody."""
