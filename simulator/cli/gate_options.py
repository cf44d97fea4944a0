"""The options of `cxi-bandit replay` that ask the gate."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import rich_click as click

from cxi_bandit.cli.completing import DEFECTS

_PANEL = "The gate"


def _moment(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:  # noqa: ARG001 - click's signature
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no ISO 8601 moment, such as 2026-03-02 or 2026-03-02T06:00Z") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


_OPTIONS = (
    click.option(
        "--gate",
        "ask",
        flag_value="gate",
        panel=_PANEL,
        help="Run the candidate's trial against the incumbent: exit 0 go, 1 refuse, 3 wait. Kept between sittings.",
    ),
    click.option(
        "--plan",
        "ask",
        flag_value="plan",
        panel=_PANEL,
        help="Say how large an improvement a trial would see in how many days. Spends nothing.",
    ),
    click.option(
        "--aa",
        "ask",
        flag_value="aa",
        panel=_PANEL,
        help="The incumbent against itself: nothing may be found. Needs no candidate; exit 1 if something is.",
    ),
    click.option(
        "--defect",
        "defects",
        multiple=True,
        metavar="TYPE",
        shell_complete=DEFECTS,
        panel=_PANEL,
        help="Only decisions on this defect type, against who is live for it; may be given again.",
        show_default="all",
    ),
    click.option(
        "--proposal",
        panel=_PANEL,
        help="The trial's line on the alpha ledger; a restart needs a new one.",
        show_default="after what is tried",
    ),
    click.option(
        "--since",
        "opening",
        callback=_moment,
        panel=_PANEL,
        help="Open the trial's window at this moment (UTC).",
        show_default="as early as neither policy has learned from it",
    ),
)


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--gate`, `--plan`, `--aa`, `--defect`, `--proposal` and `--since`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
