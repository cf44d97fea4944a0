"""An open-loop load: requests leave when they are due, whatever became of those before, and all answers are kept.

A closed loop slows down with the service it measures, and so never sees it overloaded.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Self

import msgspec

MOST_UNDER_WAY = 4000
LONGEST_ANSWER_SECONDS = 20.0


class Request(NamedTuple):
    """What to send, and a name by which its sender knows the answer again."""

    path: str
    body: object
    headers: tuple[str, ...] = ()
    name: str = ""


class Fate(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"
    REFUSED = "refused"  # no connection could be made: it never left
    CUT = "cut"  # the connection ended before the answer
    SILENT = "silent"  # no answer for far too long


class Answer(NamedTuple):
    """A request's fate. Times are by `time.monotonic`; the latency counts from when the request was due."""

    request: Request
    fate: Fate
    due: float
    seconds: float
    status: int
    headers: bytes
    body: bytes

    @property
    def good(self) -> bool:
        """A 2xx: whatever it promises must hold."""
        return 200 <= self.status < 300

    def read(self) -> dict:
        """The JSON of the body."""
        return msgspec.json.decode(self.body)


class Load:
    """Sends from a thread of its own, `per_second` requests in even steps, until the block ends or `most` were sent.

    Args:
        make: The request number n.
        then: What to send, at once, upon an answer: the reward of a decision, say.
        lanes: Send in a closed loop instead, this many at a time, each as soon as the one before is answered.
    """

    def __init__(
        self,
        port: int,
        make: Callable[[int], Request],
        per_second: float = 0.0,
        *,
        then: Callable[[Answer], Request | None] | None = None,
        lanes: int = 0,
        most: int = 1_000_000,
    ) -> None:
        self._port = port
        self._make = make
        self._then = then
        self._per_second = per_second
        self._lanes = lanes
        self._most = most
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self.sent = 0
        self.withheld = 0
        self.answers: list[Answer] = []
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(LONGEST_ANSWER_SECONDS + 10)
        if self._failure is not None:
            raise self._failure

    def finish(self) -> list[Answer]:
        """Waits until `most` were sent and each has its fate."""
        self._thread.join()
        return self.answers

    def _run(self) -> None:
        try:
            asyncio.run(self._drive())
        except BaseException as failure:  # noqa: BLE001 - told to whoever waits for this thread
            self._failure = failure

    async def _drive(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            if self._lanes:
                for _ in range(self._lanes):
                    tasks.create_task(self._lane())
            else:
                await self._keep_time(tasks)
        for _, writer in self._idle:
            writer.close()

    async def _lane(self) -> None:
        while not self._stopping.is_set() and self.sent < self._most:
            number, self.sent = self.sent, self.sent + 1
            await self._send(self._make(number), time.monotonic())

    async def _keep_time(self, tasks: asyncio.TaskGroup) -> None:
        begin = time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        while not self._stopping.is_set() and self.sent < self._most:
            while self.sent < min((time.monotonic() - begin) * self._per_second, self._most):
                due = begin + self.sent / self._per_second
                if len(under_way) >= MOST_UNDER_WAY:
                    self.withheld += 1
                else:
                    task = tasks.create_task(self._send(self._make(self.sent), due))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                self.sent += 1
            await asyncio.sleep(0.002)

    async def _send(self, request: Request, due: float) -> None:
        answer = await self._answer(request, due)
        self.answers.append(answer)
        if self._then is not None and (following := self._then(answer)) is not None:
            self.answers.append(await self._answer(following, time.monotonic()))

    async def _answer(self, request: Request, due: float) -> Answer:
        def ended(fate: Fate, status: int = 0, headers: bytes = b"", body: bytes = b"") -> Answer:
            return Answer(request, fate, due, time.monotonic() - due, status, headers, body)

        try:
            reader, writer = self._idle.pop() if self._idle else await self._connected()
        except OSError:
            return ended(Fate.REFUSED)
        try:
            async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
                writer.write(_bytes(request))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(_length(head))
        except TimeoutError:  # an OSError too, so it comes first
            writer.close()
            return ended(Fate.SILENT)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return ended(Fate.CUT)
        self._idle.append((reader, writer))
        return ended(Fate.ANSWERED, int(head[9:12]), head, body)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(LONGEST_ANSWER_SECONDS):
            return await asyncio.open_connection("127.0.0.1", self._port)


def _bytes(request: Request) -> bytes:
    body = msgspec.json.encode(request.body)
    lines = (
        f"POST {request.path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *request.headers,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _length(head: bytes) -> int:
    _, found, rest = head.partition(b"content-length:")
    return int(rest[: rest.index(b"\r\n")]) if found else 0
