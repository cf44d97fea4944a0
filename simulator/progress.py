"""How far long work has come: whoever calls it may hear of it, and by default nobody does."""

from collections.abc import Iterator
from contextlib import contextmanager

from cxi_bandit.cli.progress import Advance, Track

__all__ = ["Advance", "Track", "silent"]


def _unheard(done: int, total: int | None = None) -> None:
    pass


@contextmanager
def silent(description: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - the shape of Track
    """Shows nothing."""
    yield _unheard
