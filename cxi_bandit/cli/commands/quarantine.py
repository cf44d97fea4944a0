"""The declaration of `cxi-bandit quarantine`."""

from typing import Any

import rich_click as click

from cxi_bandit.cli.command import CommandGroup
from cxi_bandit.cli.completing import POLICIES, SOURCES
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options

_PAGE = "howto/mend-what-was-learned.md"
_WHICH = "Which ones"


@click.group(
    cls=CommandGroup,
    page=_PAGE,
    examples=(
        ("cxi-bandit quarantine list", "what waits for somebody to decide"),
        ("cxi-bandit quarantine release shop r-17", "count one after all"),
    ),
)
def quarantine() -> None:
    """Rewards that their policy's manifest does not allow: kept, not counted, until somebody decides."""


def _filters(command: Any) -> Any:  # noqa: ANN401 - decorates whatever click decorates
    for option in (
        click.option("--metric", help="Only those of this metric.", panel=_WHICH),
        click.option("--source", shell_complete=SOURCES, help="Only those of this source.", panel=_WHICH),
        click.option("--policy", shell_complete=POLICIES, help="Only those of this policy.", panel=_WHICH),
    ):
        command = option(command)
    return command


_REASON = click.option("--reason", help="Why, for the audit trail.")


def _which(command: Any) -> Any:  # noqa: ANN401 - decorates whatever click decorates
    command = click.option(
        "--every", is_flag=True, help="All that the filters leave, instead of one by its id.", panel=_WHICH
    )(command)
    command = _filters(command)
    command = click.argument("reward_id", required=False)(command)
    return click.argument("named_source", metavar="SOURCE", required=False, shell_complete=SOURCES)(command)


@quarantine.command(
    "list",
    work="cxi_bandit.cli.quarantine:list_quarantined",
    page=_PAGE,
    examples=(
        ("cxi-bandit quarantine list", "counted by policy, source and metric"),
        ("cxi-bandit quarantine list --policy search --entries --json", "one by one, for a program"),
    ),
)
@_filters
@click.option("--all", "every", is_flag=True, help="Also those released or discarded.")
@click.option("--entries", is_flag=True, help="One by one, not counted.")
@AS_JSON
@database_options
def list_quarantined() -> None:
    """Show what is in quarantine, by policy, source and metric."""


@quarantine.command(
    work="cxi_bandit.cli.quarantine:show",
    page=_PAGE,
    examples=(("cxi-bandit quarantine show shop r-17", "with every event of its decision"),),
)
@click.argument("source", shell_complete=SOURCES)
@click.argument("reward_id")
@AS_JSON
@database_options
def show() -> None:
    """Show one quarantined reward, and every event of its decision."""


@quarantine.command(
    work="cxi_bandit.cli.quarantine:release",
    page=_PAGE,
    examples=(
        ("cxi-bandit quarantine release shop r-17", "as the nearest value that its metric allows"),
        ("cxi-bandit quarantine release --every --policy search --value 0", "all of a policy, as nothing"),
    ),
)
@_which
@click.option("--value", type=float, help="Count it as this.", show_default="the nearest value the metric allows")
@_REASON
@ACTOR
@AS_JSON
@database_options
def release() -> None:
    """Count a quarantined reward after all, as a value that its metric allows.

    The ledger gets a correction by you; the reward's own row stays. If its window has closed, a rebuild is asked for.
    """


@quarantine.command(
    work="cxi_bandit.cli.quarantine:discard",
    page=_PAGE,
    examples=(
        ("cxi-bandit quarantine discard shop r-17", "one"),
        ("cxi-bandit quarantine discard --every --source shop", "all of a sender"),
    ),
)
@_which
@_REASON
@ACTOR
@AS_JSON
@database_options
def discard() -> None:
    """Take a quarantined reward back for good: it is listed no more."""
