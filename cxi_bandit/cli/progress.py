"""How far long work has come: bars on stderr for people at a terminal, nothing for programs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Advance(Protocol):
    """Hears of progress."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """`done` more are done; `total`, where given, is a better guess of how many there are."""
        ...


Track = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Given what is done and how many it takes (None where nobody knows), a context that hears of those that are."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        places = 1 if speed is not None and speed < 10 else 0  # noqa: PLR2004 - 0.3 a second is worth its digit
        return Text("" if speed is None else f"{speed:,.{places}f}/s", style="progress.data.speed")


class _Left(ProgressColumn):
    """The time left where the total is known, else the time since it began."""

    def __init__(self) -> None:
        super().__init__()
        self._left, self._since = TimeRemainingColumn(compact=True), TimeElapsedColumn()

    def render(self, task: Task) -> Text:
        if task.total is None or task.finished:
            return self._since.render(task)
        return Text.assemble(self._left.render(task), " left")


def shown(*columns: ProgressColumn, as_json: bool, passing: bool = False) -> Progress:
    """Bars of these columns on stderr; silent where that is no terminal, and for whoever asked for JSON.

    Args:
        passing: They go when the work is done.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        _Left(),
        console=console,
        transient=passing,
        disable=as_json or not console.is_terminal,
    )


def bars(*, as_json: bool) -> Track:
    """A bar for each piece of work, with counts, their rate, and the time left; one without a total goes in the end."""

    @contextmanager
    def track(description: str, total: int | None) -> Iterator[Advance]:
        with shown(MofNCompleteColumn(), _Rate(), as_json=as_json, passing=total is None) as progress:
            task = progress.add_task(description, total=total)
            yield lambda done, total=total: progress.update(task, advance=done, total=total)

    return track
