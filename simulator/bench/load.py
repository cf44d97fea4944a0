"""The load's own process: raw sockets, requests encoded beforehand, of an answer only its status and its length read.

Run as `python -m simulator.bench.load`: one `Order` as a line of JSON on stdin, one `Load` on stdout, again and again
until stdin ends. A closed loop sends as soon as an answer is complete. An open loop sends when its Poisson clock says,
and counts a latency from that moment, also where the request had to wait for a connection: a server that stalls cannot
hide it by holding the load up.
"""

import random
import select
import socket
import sys
import time
from collections import deque
from typing import Final

import msgspec

from simulator.bench.orders import LONGEST_SECONDS, Load, Order, rank

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"
_STATUS_AT: Final = 9  # of b"HTTP/1.1 2"
_READ_BYTES: Final = 1 << 14
_SEND_BUFFER: Final = 1 << 20
_LAST_ANSWERS_SECONDS: Final = 20.0
"""How long the last answers are waited for once nothing more is sent."""


class ServerLost(ConnectionError):
    """The server closed a connection that should have stayed: nothing that was measured with it means anything."""


class Client:
    """The connections of one order and what came back on them."""

    def __init__(self, order: Order, requests: list[bytes]) -> None:
        self._order = order
        self._requests = requests
        self._turn = 0
        self._sockets: dict[int, socket.socket] = {}
        self._due: dict[int, float] = {}
        self._partial: dict[int, bytes] = {}
        self._poll = select.epoll()
        self._latencies: list[float] = []
        self._refused = 0
        self._kept: list[str] = []
        for _ in range(order.connections):
            one = socket.create_connection(("127.0.0.1", order.port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Sending never waits for the server to read: what is read one after the other is sent one after the other.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self._sockets[one.fileno()] = one
            self._poll.register(one.fileno(), select.EPOLLIN)

    def run(self) -> Load:
        """Carries the order out."""
        started, cpu = time.perf_counter(), time.process_time()
        ends_at = started + min(self._order.seconds, LONGEST_SECONDS)
        if self._order.per_second is None:
            self._closed_loop(ends_at)
        else:
            self._open_loop(ends_at, self._order.per_second)
        seconds = time.perf_counter() - started
        latencies = sorted(self._latencies)
        return Load(
            answered=len(latencies),
            refused=self._refused,
            seconds=seconds,
            cpu_seconds=time.process_time() - cpu,
            p50_ms=rank(latencies, 0.50) * 1000,
            p99_ms=rank(latencies, 0.99) * 1000,
            kept=self._kept,
        )

    def close(self) -> None:
        """Hangs up."""
        self._poll.close()
        for one in self._sockets.values():
            one.close()

    def _closed_loop(self, ends_at: float) -> None:
        clock, sent = time.perf_counter, 0
        for fd in self._sockets:
            sent += self._send(fd, clock())
        while sent:
            for fd, _ in self._poll.poll(_LAST_ANSWERS_SECONDS):
                if self._complete(fd):
                    now = clock()
                    if now >= ends_at or not self._send(fd, now):
                        sent -= 1
            if clock() > ends_at + _LAST_ANSWERS_SECONDS:
                raise ServerLost(f"{sent} requests were never answered")

    def _open_loop(self, ends_at: float, per_second: float) -> None:
        gap = random.Random(self._order.seed).expovariate
        clock = time.perf_counter
        idle, waiting = list(self._sockets), deque[float]()
        due = clock() + gap(per_second)
        while due < ends_at or waiting or len(idle) < len(self._sockets):
            now = clock()
            while due <= now and due < ends_at:
                if idle:
                    self._send(idle.pop(), due)
                else:
                    waiting.append(due)
                due += gap(per_second)
            # The wait is on `select`, which keeps microseconds; epoll's own timeout is in whole milliseconds.
            patience = due - clock() if due < ends_at else _LAST_ANSWERS_SECONDS
            select.select([self._poll], [], [], max(patience, 0.0))
            for fd, _ in self._poll.poll(0):
                if not self._complete(fd):
                    continue
                if waiting:
                    self._send(fd, waiting.popleft())
                else:
                    idle.append(fd)
            if clock() > ends_at + _LAST_ANSWERS_SECONDS:
                raise ServerLost(f"{len(waiting)} requests were never sent, others never answered")

    def _send(self, fd: int, due: float) -> bool:
        """Sends the next request; False when they must not be sent twice and are used up."""
        turn = self._turn
        if turn >= len(self._requests):
            if self._order.once:
                return False
            turn = 0
        self._turn = turn + 1
        self._due[fd] = due
        self._sockets[fd].sendall(self._requests[turn])
        return True

    def _complete(self, fd: int) -> bool:
        """Reads what has come; whether the answer is whole."""
        data = self._sockets[fd].recv(_READ_BYTES)
        if not data:
            raise ServerLost("the server closed a connection")
        if fd in self._partial:
            data = self._partial.pop(fd) + data
        head = data.find(_HEAD_END)
        # Our servers write header names in lower case.
        at = data.find(_LENGTH, 0, head) + len(_LENGTH)
        if head < 0 or (at >= len(_LENGTH) and len(data) < head + 4 + int(data[at : data.index(b"\r", at)])):
            self._partial[fd] = data
            return False
        if data[_STATUS_AT] == 0x32:  # noqa: PLR2004 - "2"
            self._latencies.append(time.perf_counter() - self._due[fd])
            if len(self._kept) < self._order.keep:
                self._kept.append(data[head + 4 :].decode())
        else:
            self._refused += 1
        return True


def encoded(order: Order) -> list[bytes]:
    """The order's requests, as they go over the wire."""
    lines = [f"POST {order.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *order.headers]
    head = "\r\n".join(lines)
    return [f"{head}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode() for body in order.bodies or ()]


def main() -> None:
    """Carries out orders until stdin ends. An order without bodies sends those of the one before."""
    requests: list[bytes] = []
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        if order.bodies is not None:
            requests = encoded(order)
        client = Client(order, requests)
        try:
            load = client.run()
        finally:
            client.close()
        sys.stdout.buffer.write(msgspec.json.encode(load) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
