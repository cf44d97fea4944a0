"""The API as the supervisor sees it: one generation of workers after the other, all on one listening socket.

The socket is the supervisor's. A connection that comes while nobody accepts (a worker was killed, one generation takes
over from another) waits in the kernel and is answered a little later, not refused.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.settings import Settings
from cxi_bandit.supervisor.child import Child, Line
from cxi_bandit.supervisor.gate import Gate

_MODULE: Final = "cxi_bandit.service"
_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
# Long enough for a pooled connection in use to hear that it is to be closed; see `service.draining`.
_HANDOVER_SECONDS: Final = 2.0


class Generation:
    """One process of the API with its workers, and two lines to them.

    On `serving` each worker says that it answers. On `draining` the supervisor says that others have taken over; when
    it lets go of it, or dies, the workers send their callers elsewhere.
    """

    def __init__(
        self, listener: socket.socket, environment: Mapping[str, str], gate: Gate, log: FilteringBoundLogger
    ) -> None:
        self._listener = listener
        self._environment = environment
        self._gate = gate
        self._child = Child("api", self._start, log)
        self._serving = Line()
        self._draining = Line()
        self._heard = 0

    def keep_running(self) -> None:
        """Starts it, or starts it again when it has ended."""
        self._child.keep_running()

    def serves(self, workers: int) -> bool:
        """Whether so many workers have said that they answer."""
        # Closed once it has ended; nothing to read while nobody has anything to say.
        with suppress(OSError):
            self._heard += len(os.read(self._serving.reading, 4096))
        return self._heard >= workers

    def drain(self) -> None:
        """Tells the workers to send their callers elsewhere; they go on answering."""
        self._draining.close(self._draining.writing)

    def hand_over(self, workers: int) -> None:
        """Tells that many workers to accept no more, and to send those elsewhere whom they have accepted."""
        with suppress(OSError):
            os.write(self._draining.writing, b"." * workers)

    def end(self) -> None:
        """Ends it; what was accepted is answered first."""
        self.drain()
        self._child.end()
        self._hang_up()

    def _start(self) -> "subprocess.Popen[bytes]":
        self._hang_up()
        self._serving, self._draining = Line(), Line()
        os.set_blocking(self._serving.reading, False)
        inherited = {
            "listen_fd": self._listener.fileno(),
            "serving_fd": self._serving.writing,
            "draining_fd": self._draining.reading,
        }
        process = self._gate.spawn(_MODULE, self._environment, inherited)
        self._serving.close(self._serving.writing)
        self._draining.close(self._draining.reading)
        return process

    def _hang_up(self) -> None:
        self._heard = 0
        for line in (self._serving, self._draining):
            line.close(line.reading, line.writing)


class Api:
    """The generation that answers now.

    Args:
        make: A new generation, not yet started.
    """

    def __init__(
        self,
        make: Callable[[], Generation],
        listener: socket.socket,
        settings: Settings,
        log: FilteringBoundLogger,
    ) -> None:
        self._make = make
        self._listener = listener
        self._settings = settings
        self._log = log
        self._generation = make()

    def keep_running(self) -> None:
        """Starts the API, or starts it again when it has ended."""
        self._generation.keep_running()

    def roll(self, meanwhile: Callable[[], bool]) -> bool:
        """Puts a new generation, of the code and settings as they are now, in the place of the one that answers.

        The old one answers until every worker of the new one does, so no request fails. One that does not come up is
        ended again, and the old one stays.

        Args:
            meanwhile: Called again and again; once it is false, rolling ends as if the new generation had not come up.
        """
        new = self._make()
        deadline = time.monotonic() + _READY_SECONDS
        new.keep_running()
        while not new.serves(self._settings.workers):
            if not meanwhile() or time.monotonic() > deadline:
                new.end()
                self._log.error(
                    "not_rolled", reason="the new workers did not come up", meaning="the old ones answer on"
                )
                return False
            new.keep_running()
            time.sleep(_POLL_SECONDS)
        old, self._generation = self._generation, new
        old.hand_over(self._settings.workers)
        _pause(_HANDOVER_SECONDS, meanwhile)
        old.end()
        return True

    def end(self) -> None:
        """Sends callers elsewhere, for as long as the settings say; then answers what was accepted, and ends."""
        if self._generation.serves(1):
            self._generation.drain()
            time.sleep(self._settings.drain_seconds)
        # Once the workers have let go of it too, new connections are refused rather than kept waiting in vain.
        self._listener.close()
        self._generation.end()


def _pause(seconds: float, meanwhile: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while meanwhile() and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
