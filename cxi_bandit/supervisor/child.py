"""A process that is to run for as long as the supervisor does."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

_DRAIN_SECONDS: Final = 30.0
_STABLE_SECONDS: Final = 30.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0

Start = Callable[[], "subprocess.Popen[bytes]"]


def spawn(module: str, environment: dict[str, str], descriptors: tuple[int, ...] = ()) -> "subprocess.Popen[bytes]":
    """Starts one of our own modules.

    Args:
        descriptors: Open files that it inherits, under the same numbers; nothing else is.
    """
    # A session of its own: Ctrl-C reaches the supervisor alone, which then ends its children in order.
    return subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
        [sys.executable, "-m", module], env=environment, start_new_session=True, pass_fds=descriptors
    )


class Child:
    """Started again whenever it ends: soon at first, ever more slowly if it keeps ending."""

    def __init__(self, name: str, start: Start, log: FilteringBoundLogger) -> None:
        self._name = name
        self._start = start
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._due = 0.0

    def keep_running(self) -> None:
        """Starts it, or starts it again when it has ended."""
        now = time.monotonic()
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._process = None
            stable = now - self._started > _STABLE_SECONDS
            self._pause_seconds = (
                _FIRST_PAUSE_SECONDS if stable else min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            )
            self._due = now + self._pause_seconds
            self._log.error("child_ended", child=self._name, status=status, again_in_seconds=self._pause_seconds)
        if now >= self._due:
            self._started = now
            self._process = self._start()

    def end(self) -> None:
        """SIGTERM, and SIGKILL for one that has not drained in time."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._log.error("child_killed", child=self._name, reason="it did not end in time")
            self._process.kill()
            self._process.wait()


class Line:
    """A pipe between the supervisor and one generation of workers; whoever reads learns that the other end is gone."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self._open = {self.reading, self.writing}

    def close(self, *ends: int) -> None:
        """Closes the ends given, here; once they are closed it changes nothing."""
        for end in self._open.intersection(ends):
            self._open.remove(end)
            os.close(end)
