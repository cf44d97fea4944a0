"""How far long work has come: silent by default, a bar with rows per second and time left for people."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Advance(Protocol):
    """Hears of progress."""

    def __call__(self, rows: int, total: int | None = None) -> None:
        """`rows` more are done; `total`, where given, is a better guess of how many there are."""
        ...


Track = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Given what is done and how many rows it takes (None where nobody knows), a context that hears of finished rows."""


def _unheard(rows: int, total: int | None = None) -> None:
    pass


@contextmanager
def silent(description: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - the shape of Track
    """Shows nothing."""
    yield _unheard


class _RowsPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s", style="progress.data.speed")


def bars(console: Console) -> Track:
    """Bars on `console`, which should write to stderr; nothing at all where that is no terminal."""

    @contextmanager
    def track(description: str, total: int | None) -> Iterator[Advance]:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RowsPerSecond(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as progress:
            task = progress.add_task(description, total=total)
            yield lambda rows, total=total: progress.update(task, advance=rows, total=total)

    return track
