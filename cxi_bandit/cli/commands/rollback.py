"""The declaration of `cxi-bandit rollback`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES, REVISIONS
from cxi_bandit.cli.options import ACTOR, AS_JSON, VERSION, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.rollback:rollback",
    page="howto/promote.md",
    examples=(
        ('cxi-bandit rollback search --reason "complaints about the new banner"', "end the canary, or go back a step"),
        ("cxi-bandit rollback search --seen 2", "only if revision 2 still says who answers: safe to repeat"),
        ("cxi-bandit rollback --all", "everything that has something to go back to"),
    ),
)
@click.argument("policy", required=False, shell_complete=POLICIES)
@click.option("--all", "everything", is_flag=True, help="Roll back every policy of which something was live before.")
@click.option("--reason", default="rolled back by hand", help="Why, for the audit trail.", show_default=True)
@click.option("--to", type=VERSION, shell_complete=REVISIONS, help="Take up this revision of the roll-out instead.")
@click.option(
    "--seen",
    type=VERSION,
    shell_complete=REVISIONS,
    help="The revision you looked at: where others answer by now, nothing is done.",
    show_default="whichever stands",
)
@ACTOR
@AS_JSON
@database_options
def rollback() -> None:
    """End the running canary of POLICY; without one, what was live before is live again. Or, with --all, of everything.

    Every worker of a running service serves it within seconds.
    """
