"""The address the service answers on, held from start to end by the supervisor."""

import errno
import socket
import time
from typing import Final

from cxi_bandit.bootstrap.data_dir import Taken

BACKLOG: Final = 2048
"""Connections that wait to be accepted; the kernel may allow fewer."""

_POLL_SECONDS: Final = 0.05


def listen(host: str, port: int, patience_seconds: float = 0.0) -> socket.socket:
    """A listening socket. Two servers can share a port without a word (SO_REUSEPORT), so that is not asked for.

    Args:
        patience_seconds: How long to wait for an address in use: children of a killed supervisor are still ending.

    Raises:
        Taken: Something else listens there, or nobody can.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise Taken(f"cannot listen on {host}:{port}: {error.strerror}") from error
            if time.monotonic() > deadline:
                raise Taken(f"something else listens on {host}:{port}; choose another --port") from error
            time.sleep(_POLL_SECONDS)
        else:
            listener.setblocking(False)
            return listener
