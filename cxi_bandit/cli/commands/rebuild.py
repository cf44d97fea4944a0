"""The declaration of `cxi-bandit rebuild`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import POLICIES
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.rebuild:rebuild",
    page="howto/mend-what-was-learned.md",
    examples=(
        ("cxi-bandit rebuild search", "here and now, from the nearest checkpoint"),
        ("cxi-bandit rebuild search --later", "by the learner of the running service"),
    ),
)
@click.argument("policy", shell_complete=POLICIES)
@click.option("--from-start", is_flag=True, help="From the untrained model on, not from the nearest checkpoint.")
@click.option("--later", is_flag=True, help="Leave it to the running service's learner.")
@ACTOR
@AS_JSON
@database_options
def rebuild() -> None:
    """Learn POLICY's outcomes again as they are known now: late and corrected rewards, nothing erased or unlearned.

    Runs beside the service, which takes the new model up when it is whole.
    """
