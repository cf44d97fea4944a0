"""Options that say where a log is evaluated."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

if TYPE_CHECKING:
    from simulator.partitions import Engine

PANEL: Final = "How it is estimated"
_ENGINES: Final = ("one-process", "processes", "ray")
"""As `simulator.partitions.ENGINES`, which is too heavy to import for a help text."""

_ENGINE: Final = click.option(
    "--engine",
    panel=PANEL,
    type=click.Choice(_ENGINES),
    help="Evaluate in partitions: here, in processes, or as Ray tasks; the same digits.",
    show_default="whole, here",
)
_WORKERS: Final = click.option(
    "--engine-workers",
    panel=PANEL,
    type=click.IntRange(min=1),
    help="Partitions at a time.",
    show_default="one a processor",
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--engine` and `--engine-workers`, handed on as `engine`."""

    @_ENGINE
    @_WORKERS
    @wraps(command)
    def with_engine(*args: Any, engine: str | None, engine_workers: int | None, **others: Any) -> Any:  # noqa: ANN401 - as given
        return command(*args, engine=_engine(engine, engine_workers), **others)

    return with_engine


def _engine(name: str | None, workers: int | None) -> "Engine | None":
    if name is None:
        if workers is not None:
            raise click.UsageError("--engine-workers goes with --engine")
        return None
    # Imported late: `cxi-bandit --help` must not wait for what only this command needs.
    from simulator.partitions import engine_of  # noqa: PLC0415

    return engine_of(name, workers)
