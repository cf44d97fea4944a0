"""What a run starts does not outlive it, however it ends: well, interrupted, timed out or killed.

Whatever the run starts inherits a mark in its environment. A watcher, in a session of its own, waits for the end of the
run, then ends every process that still bears the mark and removes the directories named after it.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "TEST_RUN_OF_CXI_BANDIT"
_PREFIX = "cxi-bandit-"

# A supervisor stops its database when asked to; a PostgreSQL without clients left does too, and at once by SIGQUIT.
_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL)
_SECONDS_EACH = 2.0
_LOOK_SECONDS = 0.2


def watch_over_this_process() -> None:
    """From now on nothing that this process starts, or that those start, outlives it.

    Until the watcher sees it end, SIGTERM unwinds this process as Ctrl-C does, so that it clears up by itself.
    """
    mark = f"{os.getpid()}-{uuid4().hex[:8]}"
    # No pipe between the two: children that were forked would hold its other end open.
    words = [sys.executable, __file__, str(os.getpid()), mark]
    silence = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    os.posix_spawn(sys.executable, words, os.environ, setsid=True, file_actions=silence)
    os.environ[MARK] = mark
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def directory_of_this_run() -> "Iterator[Path]":
    """A directory that goes with the run; open, as a server run by root must reach it as another user."""
    mark = os.environ.get(MARK, "unwatched")
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{mark}-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def shared_by_this_run(name: str) -> Path:
    """A directory that all processes of the run know by this name; it goes with the run."""
    directory = Path(tempfile.gettempdir(), f"{_PREFIX}{os.environ[MARK]}-{name}")
    directory.mkdir(mode=0o755, exist_ok=True)
    return directory


def bearers(mark: str) -> list[psutil.Process]:
    """Processes of a run: the mark is in their environment, or in a path on their command line."""
    found = []
    for process in psutil.process_iter():
        # A server of another user does not show its environment; its data directory is on its command line.
        with suppress(psutil.Error):
            if any(mark in word for word in process.cmdline()) or process.environ().get(MARK) == mark:
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def clear_up(mark: str) -> None:
    """Ends the processes of a run that has ended, and removes its directories."""
    for number in _SIGNALS:
        left = bearers(mark)
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(number)
        psutil.wait_procs(left, _SECONDS_EACH)
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}{mark}-*"):
        shutil.rmtree(directory, ignore_errors=True)


def await_end(pid: int) -> None:
    """Returns once a process has ended, whether or not anybody asked how."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    await_end(int(sys.argv[1]))
    clear_up(sys.argv[2])
