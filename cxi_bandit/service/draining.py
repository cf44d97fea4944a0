"""Before a worker ends it sends its callers elsewhere: readiness says no, and connections are closed by their answers.

A server that simply closes an idle connection may cross a request that is just being sent on it, which then fails. One
whose last answer said `Connection: close` has no request coming. And where others take over, it first stops accepting:
a connection on which nothing was said yet would be closed under its caller's hands.
"""

import asyncio
import os
import socket
import stat
from pathlib import Path


class Draining:
    """Whether this worker is about to end."""

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """From now on callers are sent elsewhere; they are still answered."""
        self.begun = True

    def follow(self, descriptor: int, listener: int) -> None:
        """Does what the supervisor wishes. Call it on the event loop.

        Args:
            descriptor: The reading end of a pipe, -1 for none. A byte on it: others accept now, stop accepting and
                begin. Its end: begin, and go on accepting; the supervisor is about to end everything, or died.
            listener: The listening socket that is shared with those others.
        """
        if descriptor < 0:
            return
        loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)

        def heard() -> None:
            loop.remove_reader(descriptor)  # one byte is for one worker: the others need theirs
            try:
                others_accept = bool(os.read(descriptor, 1))
            except BlockingIOError:
                loop.add_reader(descriptor, heard)  # another worker took what woke both
                return
            if others_accept:
                stop_accepting(listener)
            self.begin()

        loop.add_reader(descriptor, heard)


def stop_accepting(listener: int) -> None:
    """Accepts no more in this process, while others go on; connections already accepted stay.

    The server has no word for this. Its descriptors of the shared socket are made to mean one to which nobody connects.
    """
    deaf = socket.create_server(("127.0.0.1", 0), backlog=1)
    deaf.setblocking(False)
    shared = _identity(listener)
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if _identity(descriptor) == shared:
            os.dup2(deaf.fileno(), descriptor)
    deaf.close()


def _identity(descriptor: int) -> tuple[int, int] | None:
    """The same for every descriptor of one socket, None for what is none."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None
