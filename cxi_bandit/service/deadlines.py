"""Deadlines of many that wait, watched by one timer: one for each would cost as much as looking up who waits."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_TICK_SECONDS: Final = 0.001
"""The event loop's own resolution: a timer may ring that much before its time."""


class Deadlines(Generic[T]):
    """Calls `expire` with each of those that still wait once its time has come. For one event loop.

    The timer is set for the earliest deadline ever asked for, and is left alone when those that it was for are done: it
    then finds nobody, and is set for the next.
    """

    def __init__(self, expire: Callable[[T], object]) -> None:
        self._expire = expire
        self._waiting: dict[T, float] = {}
        self._rings_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waiting: T, seconds: float) -> None:
        """From now on `waiting` has so many seconds."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        self._waiting[waiting] = at
        if self._timer is None or at < self._rings_at:
            self._set(loop, at)

    def remove(self, waiting: T) -> None:
        """It waits no longer."""
        self._waiting.pop(waiting, None)

    def end(self) -> None:
        """Rings no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self.end()
        self._rings_at = at
        self._timer = loop.call_later(max(at - loop.time(), _TICK_SECONDS), self._ring)

    def _ring(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time() + _TICK_SECONDS
        for due in [waiting for waiting, at in self._waiting.items() if at <= now]:
            del self._waiting[due]
            self._expire(due)
        if self._waiting:
            self._set(loop, min(self._waiting.values()))
