"""Ports for what a test starts, given to nobody else."""

import itertools
import random
import socket

# Below what any system hands out by itself: a port found free there can be taken by whoever connects next.
_FIRST, _COUNT = 20_000, 12_000
_numbers = itertools.count(random.SystemRandom().randrange(_COUNT))


def free_port() -> int:
    """A TCP port of the loopback address on which nobody listens; not the same twice in a process."""
    for number in _numbers:
        port = _FIRST + number % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError
