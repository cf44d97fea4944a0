"""The micro-batcher: many waiting requests, one commit under way; that commit is the batching window, no linger.

Where what the port does beside its database is dear, two commits may be under way: one is prepared while the other is
written. Where it is not, a second one only halves the batch.

Of many who wait for short commits one takes half. Callers who are answered ask again: were all of them in one commit,
there would be nothing to prepare while it goes on, and nothing to commit while their next requests are prepared. Where
commits are long it is they that everybody waits for, and one takes all it may.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service.deadlines import Deadlines
from cxi_bandit.telemetry.metrics import Metrics

Item = TypeVar("Item")
Result = TypeVar("Result")

_RETRY_SECONDS: Final = 0.05
_TELL_AGAIN_SECONDS: Final = 1.0
_MANY: Final = 32
"""Requests that share a commit before more are split: by then each pays little for what a commit costs by itself."""
_SHORT_SECONDS: Final = 0.01
"""Of a commit: preparing as many requests as it carries takes about as long."""


class Full(Unavailable):
    """More entries wait than the bound allows: nothing was taken."""


class Late(Unavailable):
    """The deadline passed before the entries' turn came: nothing was written, or ever will be."""


class Overdue(Unavailable):
    """The deadline passed with the commit under way. Its entries may be in the port, and are abandoned there."""


class Stalled(Unavailable):
    """The commit under way takes too long. Its entries may yet be in the port: keep them elsewhere, or abandon them."""


class _Waiting(Generic[Item, Result]):
    """A request's items and the future on which it waits."""

    __slots__ = ("answer", "flying", "items")

    def __init__(self, items: Sequence[Item], answer: "asyncio.Future[list[Result]]") -> None:
        self.items = items
        self.answer = answer
        self.flying = False


class Batcher(Generic[Item, Result]):
    """Runs a synchronous, batch-wise port from one event loop, in a thread of its own for each commit under way.

    Bounded: beyond `queue_entries` waiting items the next request is refused at once, while those accepted stay fast.
    A request whose deadline passes while it is still queued is taken out, so nothing is written for it.

    Args:
        prompt: The same port without a thread, where it can, on the loop. None says that `run` is to be asked; that
            must be safe whatever has become of the items, and so must trying each of them there after an error. Only
            what is committed so is split in halves.
        flights: How many commits may be under way at once. Items submitted together are in one.
        retries: How often a port that was away is sent the same batch again.
        stall_seconds: How long one commit may take before everyone who waits for it is sent away, and everyone who
            comes while it goes on.
        abandon: Told, in the port's thread and after the commit, of items that nobody waits for any more and that may
            have been written; told again until it does not raise.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        metrics: Metrics,
        *,
        queue_entries: int,
        batch_entries: int,
        prompt: Callable[[Sequence[Item]], Awaitable[Sequence[Result] | None]] | None = None,
        flights: int = 1,
        retries: int = 2,
        stall_seconds: float | None = None,
        abandon: Callable[[Sequence[Item]], object] | None = None,
    ) -> None:
        self._name = name
        self._run = run
        self._prompt = prompt
        self._batch_entries = batch_entries
        self._queue_entries = queue_entries
        self._retries = retries
        self._stall_seconds = stall_seconds
        self._abandon = abandon
        # Bounded as the queue is: what is forgotten beyond it is learned as if it had been seen.
        self._abandoned: deque[Item] = deque(maxlen=queue_entries)
        self._again: asyncio.TimerHandle | None = None
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._queued = 0
        self._deadlines: Deadlines[_Waiting[Item, Result]] = Deadlines(self._expire)
        self._stalled = False
        self._flights: set[asyncio.Task[None]] = set()
        self._most_flights = flights
        self._halves = False
        self._threads = ThreadPoolExecutor(flights, thread_name_prefix=f"{name}-batch")
        self._depth = metrics.queue_entries.labels(name)
        self._refused = {kind: metrics.refused.labels(name, kind) for kind in ("full", "late", "abandoned", "stalled")}
        self._entries = metrics.batch_entries.labels(name)
        self._seconds = metrics.batch_seconds.labels(name)

    @property
    def at_once(self) -> int:
        """The most items that can be submitted together."""
        return min(self._batch_entries, self._queue_entries)

    async def submit(self, items: Sequence[Item], deadline_seconds: float) -> list[Result]:
        """The port's results for `items`, at most one batch of them, once they are durable.

        Raises:
            Unavailable: The port is away; the items may still turn out to have been written. Or one of `Full`, `Late`,
                `Overdue`, `Stalled`.
        """
        if self._stalled:
            self._refused["stalled"].inc(len(items))
            raise Stalled(f"the {self._name}")
        if self._queued + len(items) > self._queue_entries:
            self._refused["full"].inc(len(items))
            raise Full(f"the {self._name} queue")
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Item, Result] = _Waiting(items, loop.create_future())
        self._deadlines.add(waiting, deadline_seconds)
        self._queue.append(waiting)
        self._queued += len(items)
        self._take_off()
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if waiting.flying:
                self.abandon(items)
            raise
        finally:
            self._deadlines.remove(waiting)

    def abandon(self, items: Sequence[Item]) -> None:
        """Nobody waits for these any more, and they may have been written."""
        if self._abandon is not None:
            self._abandoned.extend(items)
            if self._again is None:
                self._take_off()

    async def drain(self) -> None:
        """Waits until everything accepted has been answered, then ends the threads."""
        while self._flights:
            await asyncio.wait(self._flights)
        # Nothing that comes now may be written: nobody would be there to answer it.
        self._prompt = None
        if self._again is not None:
            self._again.cancel()
        self._deadlines.end()
        self._threads.shutdown()

    def _take_off(self) -> None:
        if len(self._flights) < self._most_flights:
            self._flights.add(asyncio.get_running_loop().create_task(self._fly()))

    def _expire(self, waiting: _Waiting[Item, Result]) -> None:
        if waiting.answer.done():
            return
        part = f"the {self._name} within its deadline"
        if waiting.flying:
            self._refused["abandoned"].inc(len(waiting.items))
            if self._abandon is not None:
                self._abandoned.extend(waiting.items)
            waiting.answer.set_exception(Overdue(part))
        else:
            self._refused["late"].inc(len(waiting.items))
            waiting.answer.set_exception(Late(part))

    def _stall(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        self._stalled = True
        for waiting in (*batch, *self._queue):
            if not waiting.answer.done():
                self._refused["stalled"].inc(len(waiting.items))
                waiting.answer.set_exception(Stalled(f"the {self._name}"))

    async def _fly(self) -> None:
        try:
            while (batch := self._take()) or (self._abandoned and self._again is None):
                self._depth.set(self._queued)
                watch = self._watch(batch)
                try:
                    if batch:
                        await self._commit(batch)
                    if self._abandoned and self._again is None:
                        await self._tell_of_abandoned()
                finally:
                    self._stalled = False
                    if watch is not None:
                        watch.cancel()
        finally:
            self._depth.set(self._queued)
            self._flights.difference_update([asyncio.current_task()])
            if self._queue:
                self._take_off()

    def _watch(self, batch: Sequence[_Waiting[Item, Result]]) -> asyncio.TimerHandle | None:
        if self._stall_seconds is None:
            return None
        return asyncio.get_running_loop().call_later(self._stall_seconds, self._stall, batch)

    async def _commit(self, batch: list[_Waiting[Item, Result]]) -> None:
        items = [item for waiting in batch for item in waiting.items]
        self._entries.observe(len(items))
        started = time.perf_counter()
        try:
            results = None if self._prompt is None else await self._prompt(items)
            if results is None:
                loop = asyncio.get_running_loop()
                results = await loop.run_in_executor(self._threads, self._patiently, items)
        except Exception as error:  # noqa: BLE001 - every failure belongs to the requests that wait, not to this task
            await self._fail(batch, error)
        else:
            self._land(batch, results)
        seconds = time.perf_counter() - started
        self._halves = self._prompt is not None and seconds < _SHORT_SECONDS
        self._seconds.observe(seconds)

    async def _tell_of_abandoned(self) -> None:
        if self._abandon is None:
            return
        loop = asyncio.get_running_loop()
        told = [self._abandoned.popleft() for _ in range(min(len(self._abandoned), self._batch_entries))]
        try:
            await loop.run_in_executor(self._threads, self._abandon, told)
        except Exception:  # noqa: BLE001 - whatever it was, nothing is lost by telling it again
            self._abandoned.extendleft(reversed(told))
            self._again = loop.call_later(_TELL_AGAIN_SECONDS, self._tell_again)

    def _tell_again(self) -> None:
        self._again = None
        self._take_off()

    def _take(self) -> list[_Waiting[Item, Result]]:
        batch: list[_Waiting[Item, Result]] = []
        entries, most = 0, max(_MANY, len(self._queue) // 2) if self._halves else len(self._queue)
        while self._queue and len(batch) < most:
            if batch and entries + len(self._queue[0].items) > self._batch_entries:
                break
            waiting = self._queue.popleft()
            self._queued -= len(waiting.items)
            if not waiting.answer.done():
                waiting.flying = True
                entries += len(waiting.items)
                batch.append(waiting)
        return batch

    def _patiently(self, items: Sequence[Item]) -> Sequence[Result]:
        """Runs in the thread. A port that was away may be sent the same batch again, so it gets a second chance."""
        for _ in range(self._retries):
            try:
                return self._run(items)
            except Unavailable:
                time.sleep(_RETRY_SECONDS)
        return self._run(items)

    async def _fail(self, batch: list[_Waiting[Item, Result]], error: Exception) -> None:
        """One request must not fail for another's fault: unless the port is away, each is tried by itself."""
        if len(batch) == 1 or isinstance(error, Unavailable):
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        loop = asyncio.get_running_loop()
        for index, waiting in enumerate(batch):
            try:
                results = await loop.run_in_executor(self._threads, self._run, waiting.items)
            except Unavailable as away:
                await self._fail(batch[index:], away)
                return
            except Exception as own:  # noqa: BLE001 - as above
                await self._fail([waiting], own)
            else:
                self._land([waiting], results)

    @staticmethod
    def _land(batch: list[_Waiting[Item, Result]], results: Sequence[Result]) -> None:
        start = 0
        for waiting in batch:
            end = start + len(waiting.items)
            if not waiting.answer.done():
                waiting.answer.set_result(list(results[start:end]))
            start = end
