"""What every child process owes the supervisor: to end when it does."""

import os
import threading
import time
from collections.abc import Callable


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
