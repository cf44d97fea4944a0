"""The declaration of `cxi-bandit audit`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.audit:audit",
    page="explanation/guarantees.md",
    examples=(
        ("cxi-bandit audit", "every model, and the latest decisions of every policy"),
        ("cxi-bandit audit search --all-decisions", "everything of one policy"),
        ("cxi-bandit audit --decisions 0 --json", "models only, for a program"),
    ),
)
@click.argument("policy", required=False, shell_complete=POLICIES)
@click.option(
    "--decisions",
    "most",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Latest decisions of each policy to execute again, their outcomes to settle again; 0 for none.",
)
@click.option("--all-decisions", is_flag=True, help="Every decision in the log, and every outcome.")
@AS_JSON
@database_options
def audit() -> None:
    """Derive every model of POLICY (or of all) from the log, execute decisions and settle outcomes again; compare.

    Exits with 1 when anything differs from what was committed.
    """
