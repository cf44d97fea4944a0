"""What every child process owes the supervisor: to wait until there is a database, and to end when it ends."""

import os
import threading
import time
from collections.abc import Callable

import msgspec

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.settings import Settings


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
