"""What child processes owe the supervisor and each other: to wait for the database, to end with it, to give way."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.settings import Settings

_BEHIND: Final = 5
"""Steps of niceness: a third of what a process that serves gets where both want more than there is."""

_SESSION: Final = Path("/proc/self/autogroup")


def await_database(settings: Settings) -> Settings:
    """The settings with the database's address, once the supervisor says that it is there and has its schema.

    Raises:
        Unavailable: The supervisor has ended without saying so.
    """
    if settings.database_fd < 0:
        return settings
    with os.fdopen(settings.database_fd, "rb") as line:
        dsn = line.read().decode()
    if not dsn:
        raise Unavailable("the database")
    return msgspec.structs.replace(settings, database_url=dsn, database_fd=-1)


def end_with_parent(parent_pid: int, end: Callable[[], object], seconds: float = 0.5) -> None:
    """Watches from a thread that `parent_pid` is still the parent, and calls `end` when it is not.

    A supervisor that was killed cannot tell its children; without this they would go on answering for ever.

    Args:
        parent_pid: 0 watches nothing.
    """

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(seconds)
        end()

    if parent_pid:
        threading.Thread(target=watch, name="parent", daemon=True).start()


def give_way() -> None:
    """Lets those who serve have the processor first, for as long as this process lives.

    Linux may share processors out between sessions and not processes; then it is the session that counts, and a child
    of the supervisor has one of its own. Where neither may be changed, nothing is: it is a matter of milliseconds.
    """
    with suppress(OSError):
        os.nice(_BEHIND)
    with suppress(OSError):
        _SESSION.write_text(str(_BEHIND))
