"""The load: a closed loop of keep-alive connections, in a process of its own, never longer than it was asked to last.

Run as `python -m simulator.bench.load` with an `Order` as JSON on stdin; answers a `Load` as JSON on stdout.
"""

import asyncio
import subprocess
import sys
import time
from itertools import count
from typing import Final

import msgspec

LONGEST_SECONDS: Final = 60.0
_HEAD_END: Final = b"\r\n\r\n"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        bodies: JSON bodies, sent in turn; at least 10,000 distinct ones keep caches honest.
        headers: Sent with every request, `name: value`.
    """

    port: int
    path: str
    bodies: list[str]
    headers: list[str] = []
    connections: int = 64
    seconds: float = 3.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: answers with a 2xx status, others, and latencies in milliseconds."""

    answered: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return self.answered / self.seconds


def run_load(order: Order) -> Load:
    """Runs the order in a separate process, so that the client's work is not done by whoever measures."""
    done = subprocess.run(
        [sys.executable, "-m", "simulator.bench.load"],
        input=msgspec.json.encode(order),
        stdout=subprocess.PIPE,
        check=True,
        timeout=LONGEST_SECONDS + 60,
    )
    return msgspec.json.decode(done.stdout, type=Load)


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the one before is complete."""

    def __init__(self, requests: list[bytes], turns: "count[int]", ends_at: float) -> None:
        self._requests = requests
        self._turns = turns
        self._ends_at = ends_at
        self._received = bytearray()
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.refused = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment] # TCP gives nothing else
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(_HEAD_END)
        if head < 0:
            return
        length = self._received.lower().find(b"content-length:", 0, head)
        end = self._received.find(b"\r\n", length)
        body = int(self._received[length + 15 : end]) if length >= 0 else 0
        if len(self._received) < head + len(_HEAD_END) + body:
            return
        if self._received[9:10] == b"2":
            self.latencies.append(time.perf_counter() - self._sent_at)
        else:
            self.refused += 1
        self._received.clear()
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        if self._sent_at >= self._ends_at:
            self._transport.close()
            return
        self._transport.write(self._requests[next(self._turns) % len(self._requests)])


async def _drive(order: Order) -> Load:
    head = "\r\n".join(
        [f"POST {order.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *order.headers]
    )
    requests = [f"{head}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode() for body in order.bodies]
    loop, turns = asyncio.get_running_loop(), count()
    started = time.perf_counter()
    ends_at = started + min(order.seconds, LONGEST_SECONDS)
    connections = []
    for _ in range(order.connections):
        _, connection = await loop.create_connection(
            lambda: _Connection(requests, turns, ends_at), "127.0.0.1", order.port
        )
        connections.append(connection)
    await asyncio.wait([connection.closed for connection in connections], timeout=LONGEST_SECONDS)
    latencies = sorted(latency for connection in connections for latency in connection.latencies)
    return Load(
        answered=len(latencies),
        refused=sum(connection.refused for connection in connections),
        seconds=time.perf_counter() - started,
        p50_ms=_quantile_ms(latencies, 0.50),
        p99_ms=_quantile_ms(latencies, 0.99),
    )


def _quantile_ms(latencies: list[float], share: float) -> float:
    return latencies[min(int(len(latencies) * share), len(latencies) - 1)] * 1000 if latencies else float("nan")


if __name__ == "__main__":
    import uvloop

    answer = uvloop.run(_drive(msgspec.json.decode(sys.stdin.buffer.read(), type=Order)))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
