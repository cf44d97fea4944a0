"""The declaration of `cxi-bandit refuse`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import PROMOTIONS
from cxi_bandit.cli.options import ACTOR, AS_JSON, IDENTIFIER, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.refuse:refuse",
    page="howto/promote.md",
    examples=(('cxi-bandit refuse 1 --reason "not before the sale"', "end promotion 1 before any shopper meets it"),),
)
@click.argument("promotion", type=IDENTIFIER, shell_complete=PROMOTIONS)
@click.option("--reason", required=True, help="Why, for the audit trail and for whoever proposed it.")
@ACTOR
@AS_JSON
@database_options
def refuse() -> None:
    """Refuse PROMOTION, by its id, before any shopper has met it: it ends, and can be proposed again.

    One that is past its proposal is taken back with `rollback`.
    """
