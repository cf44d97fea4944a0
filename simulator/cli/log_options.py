"""The options of `cxi-bandit replay` that say how a log is read and what else is asked of it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import rich_click as click

from cxi_bandit.cli.completing import FIELDS

_PANEL = "How the log is read, and what else is asked"


@dataclass(frozen=True, kw_only=True)
class LogRequest:
    """What was asked beside an estimate.

    Args:
        as_of: POSITION[,LEDGER_CUT], as given.
        reward: manifest:FILE.toml whose reward settles the log again.
        pool: Whether to score every row with every logging version; None where that is quick.
    """

    as_of: str | None = None
    reward: str | None = None
    horizon_sensitivity: bool = False
    segments: tuple[str, ...] = ()
    pool: bool | None = None
    sweep: Path | None = None

    @property
    def events(self) -> bool:
        """Whether raw reward events are needed."""
        return self.reward is not None or self.horizon_sensitivity

    def pooling(self, unasked: float) -> float:
        """Most scorings to do for `balanced`."""
        if self.pool is None:
            return unasked
        return inf if self.pool else 0.0


_OPTIONS = (
    click.option(
        "--as-of",
        metavar="POSITION[,CUT]",
        panel=_PANEL,
        help="Read a live log as it stood at an outcome position and ledger cut: the same numbers for ever.",
    ),
    click.option(
        "--reward",
        metavar="SPEC",
        panel=_PANEL,
        help="manifest:FILE.toml: settle every decision again from its raw events under that manifest's reward.",
    ),
    click.option(
        "--horizon-sensitivity",
        is_flag=True,
        panel=_PANEL,
        help="Estimate with twice the attribution window as well.",
    ),
    click.option(
        "--segment",
        "segments",
        multiple=True,
        metavar="FIELD",
        shell_complete=FIELDS,
        panel=_PANEL,
        help="Effects by segment, shrunken: surface, defect or context.FIELD; may be given several times.",
    ),
    click.option(
        "--pool-versions/--no-pool-versions",
        "pool",
        default=None,
        panel=_PANEL,
        help="Score every row with every logging version, for balanced.",
        show_default="where it is quick",
    ),
    click.option(
        "--sweep",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        panel=_PANEL,
        help="grid.toml: train many manifests, choose one, and estimate that one on other rows.",
    ),
)


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them, handed to the command as one `request`."""

    @functools.wraps(command)
    def gathered(
        *arguments: Any,  # noqa: ANN401 - click's own
        as_of: str | None,
        reward: str | None,
        horizon_sensitivity: bool,
        segments: tuple[str, ...],
        pool: bool | None,
        sweep: Path | None,
        **options: Any,  # noqa: ANN401 - settings of any type
    ) -> Any:  # noqa: ANN401 - whatever the command gives
        request = LogRequest(
            as_of=as_of,
            reward=reward,
            horizon_sensitivity=horizon_sensitivity,
            segments=segments,
            pool=pool,
            sweep=sweep,
        )
        return command(*arguments, request=request, **options)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered
