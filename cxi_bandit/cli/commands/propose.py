"""The declaration of `cxi-bandit propose`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import DEFECTS, EVALUATIONS, POLICIES
from cxi_bandit.cli.options import ACTOR, AS_JSON, IDENTIFIER, OF_VERSION, database_options, starting_model


@click.command(
    cls=Command,
    work="cxi_bandit.cli.propose:propose",
    page="howto/promote.md",
    examples=(
        ("cxi-bandit propose search --version 2 --evaluation 1", "on the report that `replay --gate` filed as 1"),
        (
            "cxi-bandit propose search --version 2 --model 18 --evaluation 2 --defect slow_results",
            "with one model, for one defect type",
        ),
    ),
)
@click.argument("policy", shell_complete=POLICIES)
@OF_VERSION
@starting_model("It starts with this one.")
@click.option(
    "--evaluation",
    type=IDENTIFIER,
    required=True,
    shell_complete=EVALUATIONS,
    help="The report, as `replay --gate` filed it.",
)
@click.option(
    "--defect",
    "defects",
    multiple=True,
    shell_complete=DEFECTS,
    help="Only for this defect type; may be given again.",
)
@ACTOR
@AS_JSON
@database_options
def propose() -> None:
    """Propose a version of POLICY for promotion.

    Its report must be about exactly this version with this model and say go against what is live now. Otherwise nothing
    is filed, and the exit code is 1, or 3 where the gate waits for more data.
    """
