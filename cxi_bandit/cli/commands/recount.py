"""The declaration of `cxi-bandit recount`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.recount:recount",
    page="explanation/console-figures.md",
    examples=(
        ("cxi-bandit recount", "here and now, beside the service"),
        ("cxi-bandit recount --later", "by the learner of the running service"),
    ),
)
@click.option("--later", is_flag=True, help="Leave the counting to the running service's learner.")
@ACTOR
@AS_JSON
@database_options
def recount() -> None:
    """Count what the console's overview shows again, from the log.

    Nothing needs it in the ordinary way: counts are exact once windows are closed. Runs beside the service; until it is
    done the overview shows what has been counted so far. Days that retention has dropped keep their counts.
    """
