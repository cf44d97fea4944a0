"""The instrument: load from a process of its own that is told what to send, and answers with what came back.

The client is ours and not `wrk` because the project installs itself through pip alone, and because an open loop is
needed whose latencies count from when a request was due. What it costs itself stands in every report.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Self

import msgspec

from simulator.bench.orders import Load, Order

_STOP_SECONDS: Final = 10.0
_decode: Final = msgspec.json.Decoder(Load).decode


class ClientFailed(RuntimeError):
    """The client's process ended; what it said stands on stderr."""


class Instrument(AbstractContextManager["Instrument"]):
    """One client process with one order, carried out as often as it is asked. Idle it costs nothing."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._told = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulator.bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def tell(self, bodies: Sequence[str]) -> None:
        """Other bodies, from the next run on."""
        self._order, self._told = msgspec.structs.replace(self._order, bodies=list(bodies)), False

    def run(self, *, seed: int = 1, keep: int = 0) -> Load:
        """Carries the order out once.

        Args:
            seed: Of an open loop's arrivals.
            keep: So many answers' bodies are handed back.

        Raises:
            ClientFailed: The server closed a connection or fell silent: the measurement means nothing.
        """
        bodies = None if self._told else self._order.bodies
        order = msgspec.structs.replace(self._order, bodies=bodies, seed=seed, keep=keep)
        if self._process.stdin is None or self._process.stdout is None:
            raise ClientFailed("it has no pipes")
        self._told = True
        try:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ClientFailed("it is gone") from error
        line = self._process.stdout.readline()
        if not line:
            raise ClientFailed(f"it ended with {self._process.wait(_STOP_SECONDS)}")
        return _decode(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(_STOP_SECONDS)
