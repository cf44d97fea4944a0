"""Client-side patience: a connection that has heard nothing for too long is hung up, so that whoever waits goes on.

The server's `statement_timeout` is of no use once nothing comes from the server, and the kernel's keepalives only tell
that the machine, or the proxy, at the other end is there: behind a half-open link a call would wait for ever.
"""

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

from psycopg import Connection, Error
from psycopg.rows import TupleRow

_LOOK_SECONDS: Final = 0.25


class Watchdog:
    """Hangs up on connections that are used for longer than they were to be. One thread for all of them.

    Args:
        hung_up: Called from that thread afterwards.
    """

    def __init__(self, hung_up: Callable[[], object]) -> None:
        self._hung_up = hung_up
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._watched: dict[int, tuple[float, Connection[TupleRow]]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, connection: Connection[TupleRow], patience: timedelta) -> Iterator[None]:
        """Hangs up when the block takes longer: what waits in it fails as if the server had gone."""
        number = self.watch(connection, patience)
        try:
            yield
        finally:
            self.leave(number)

    def watch(self, connection: Connection[TupleRow], patience: timedelta) -> int:
        """Hangs up unless it is told within so long to leave the number that it returns."""
        number = next(self._numbers)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="database-watchdog", daemon=True)
                self._thread.start()
            self._watched[number] = (time.monotonic() + patience.total_seconds(), connection)
        return number

    def leave(self, number: int) -> None:
        """That use is over; when this returns, nobody hangs up on it any more."""
        with self._lock:
            self._watched.pop(number, None)

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            if self._look():
                self._hung_up()

    def _look(self) -> bool:
        now = time.monotonic()
        # Under the lock: a connection that has just been given back must not be hung up on its next user.
        with self._lock:
            overdue = [number for number, (deadline, _) in self._watched.items() if now > deadline]
            for number in overdue:
                _hang_up(self._watched.pop(number)[1])
        return bool(overdue)


def _hang_up(connection: Connection[TupleRow]) -> None:
    """Shuts the socket down, not the connection: only the thread that waits on it may close that."""
    # The driver may have noticed by itself, a moment ago, that it is gone: then there is no socket any more.
    with suppress(OSError, ValueError, Error):
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        finally:
            duplicate.close()
