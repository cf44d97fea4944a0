"""The data directory: one service at a time owns it, and tells the others how to reach its database."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.settings import Settings


class Taken(Unavailable):
    """What this service needs for itself is in another's hands: a data directory, an address."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.args = (message,)


@contextmanager
def owned(settings: Settings) -> Iterator[bool]:
    """Holds the lock on the data directory. The kernel lets go of it when the process dies, however it dies.

    Yields:
        Whether the owner before this one died without letting go: its children may be about for a moment.

    Raises:
        Taken: Another process holds it.
        InvalidInput: A restore into it was broken off; what is there is no whole database, and must not be served.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # Not inherited by children: a child that outlives the owner must not keep the lock.
    descriptor = os.open(settings.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            raise Taken(
                f"another service (process {holder or 'unknown'}) runs on {settings.data_dir}; "
                "stop it, or give this one a --data-dir of its own"
            ) from error
        half = settings.restoring_dir
        if half.exists():
            raise InvalidInput(
                str(settings.data_dir), f"holds {half.name}: a restore was broken off here. Remove it and restore again"
            )
        crashed = os.fstat(descriptor).st_size > 0
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield crashed
        finally:
            os.ftruncate(descriptor, 0)
            # They say how the processes of this service are; there are none any more.
            shutil.rmtree(settings.metrics_dir, ignore_errors=True)
    finally:
        os.close(descriptor)
