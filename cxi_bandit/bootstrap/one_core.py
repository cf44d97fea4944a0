"""A worker's threads on one processor, the kernel's choice, for as long as others leave it to them.

The server's thread and the event loop's hand every request to each other, and only one of them holds the interpreter's
lock. On two processors each hand-over wakes the other one up, which in a virtual machine costs more than deciding; on
one it is a switch. But a process that may not leave its processor suffers from whoever else is there. So it is watched
how long others keep the loop waiting, and where that is long the process is let go, for the kernel to find it another.
"""

import os
import threading
import time
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cxi_bandit.telemetry.metrics import Metrics

_EVERY_SECONDS: Final = 1.0
_FREE_SECONDS: Final = 0.1
"""How long it is let go: the kernel moves who waits within milliseconds."""
_MOST_WAITING: Final = 0.25
"""Of all the time others may keep the loop waiting so much; with one as busy on its processor it is half."""

_PROCESS: Final = Path("/proc/self")
_PROCESSOR_FIELD: Final = 36
"""Of `stat`, counted from behind the command's name, as proc(5) numbers them less three."""


class Times(NamedTuple):
    """Seconds so far: by the clock, the loop's thread on a processor and waiting for one, all threads on one."""

    clock: float
    ran: float
    waited: float
    all_ran: float


class Kernel(Protocol):
    """What the kernel knows of this process, and lets it wish for."""

    def allowed(self) -> AbstractSet[int]:
        """The processors it may run on."""
        ...

    def here(self) -> int:
        """The processor that the loop's thread runs on, or ran on last."""
        ...

    def times(self) -> Times:
        """Of this process."""
        ...

    def keep_to(self, processors: AbstractSet[int]) -> None:
        """Every thread of it, and those that they start, run there only."""
        ...


class Linux:
    """This process, whose main thread runs the event loop.

    Raises, from each of its methods:
        OSError: This kernel does not say, or does not allow it.
    """

    def allowed(self) -> AbstractSet[int]:
        """See the protocol."""
        return os.sched_getaffinity(0)

    def here(self) -> int:
        """See the protocol."""
        return int((_PROCESS / "stat").read_text().rpartition(") ")[2].split()[_PROCESSOR_FIELD])

    def times(self) -> Times:
        """See the protocol."""
        ran, waited, _ = (_PROCESS / "schedstat").read_text().split()
        return Times(time.monotonic(), int(ran) / 1e9, int(waited) / 1e9, time.process_time())

    def keep_to(self, processors: AbstractSet[int]) -> None:
        """See the protocol."""
        for thread in (_PROCESS / "task").iterdir():
            # One that has ended meanwhile need not be told.
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), processors)


class OneCore:
    """Keeps this process on one processor, and looks once a second whether it is still welcome there.

    Where the kernel has only one for it, or will not say how long it keeps whom waiting, nothing is done.
    """

    def __init__(self, kernel: Kernel, metrics: Metrics) -> None:
        self._kernel = kernel
        self._metrics = metrics
        self._home: AbstractSet[int] = frozenset()
        self._before = Times(0.0, 0.0, 0.0, 0.0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="one-core", daemon=True)

    def start(self) -> None:
        """Stays where it is, and goes on looking in the background."""
        with suppress(OSError, AttributeError):
            self._home = self._kernel.allowed()
            self._before = self._kernel.times()
            # A kernel that keeps no such account says nought.
            if len(self._home) > 1 and self._before.ran > 0:
                self.settle()
                self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def settle(self) -> None:
        """Keeps to the processor that the loop runs on."""
        self._kernel.keep_to({self._kernel.here()})

    def crowded(self) -> bool:
        """Whether others kept the loop waiting for long since the last look."""
        now, before = self._kernel.times(), self._before
        self._before = now
        own = (now.all_ran - before.all_ran) - (now.ran - before.ran)
        others = (now.waited - before.waited) - own
        return others > _MOST_WAITING * (now.clock - before.clock)

    def look(self) -> None:
        """Moves, where it is not welcome."""
        if self.crowded():
            self._metrics.core_moves.inc()
            self._kernel.keep_to(self._home)
            self._stopping.wait(_FREE_SECONDS)
            self.settle()
            self._before = self._kernel.times()

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_SECONDS):
            # What cannot be told or changed now may be in a second.
            with suppress(OSError):
                self.look()
