"""The declaration of `cxi-bandit explain`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.options import AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.explain:explain",
    page="howto/explain-a-decision.md",
    examples=(("cxi-bandit explain 0192f0c1-2b7e-7c3a-9d54-3f6a1e8b2c90", "by the `decision_id` of the answer"),),
)
@click.argument("decision", type=click.UUID)
@AS_JSON
@database_options
def explain() -> None:
    """Show why DECISION came out as it did, what it came to and who learned from it, and execute it again.

    Exits with 1 when it does not come out as it was logged.
    """
