"""The declaration of `cxi-bandit unlearn`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES, SOURCES
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.unlearn:unlearn",
    page="howto/mend-what-was-learned.md",
    examples=(
        ("cxi-bandit unlearn search --source shop-events --dry-run", "how many outcomes would it be?"),
        (
            'cxi-bandit unlearn search --from 2026-11-20T08:00+01:00 --to 2026-11-20T12:00+01:00 --reason "a bad feed"',
            "whatever was decided in one morning",
        ),
    ),
)
@click.argument("policy", shell_complete=POLICIES)
@click.option(
    "--source",
    shell_complete=SOURCES,
    help="The sender whose rewards were wrong.",
    show_default="whatever was decided in the range",
)
@click.option("--from", "since", help="When it began, with a time zone: 2026-11-20T08:00+01:00.", show_default="ever")
@click.option("--to", "until", help="When it ended.", show_default="now")
@click.option("--reason", default="", help="For the audit trail.")
@click.option("--dry-run", is_flag=True, help="Only say how many outcomes it concerns.")
@ACTOR
@AS_JSON
@database_options
def unlearn() -> None:
    """Leave out of what POLICY learns the outcomes about which a sender reported, or those decided in a range of time.

    Nothing is removed, and models that learned them can still be audited. Asks for the rebuild that takes them out of
    the model that serves.
    """
