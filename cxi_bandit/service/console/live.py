"""News for pages that are open: one reader for all who listen, however many, and none where nobody does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final

from litestar.response.sse import ServerSentEventMessage
from structlog.typing import FilteringBoundLogger

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service.draining import Draining
from cxi_bandit.service.routing import in_thread

MOST_LISTENERS: Final = 100
"""In one worker; who comes then is told to come again."""
_EVERY_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.25
_LONGEST_SECONDS: Final = 60.0
"""A stream ends after so long, and the browser asks again: that is when its session is looked at anew."""
_AGAIN_MILLISECONDS: Final = 1000

News = Mapping[str, str]
"""HTML by the name of the event that carries it."""


class Live:
    """Streams of events for browsers.

    Args:
        read: Called in a thread with the number of the edition, from 0; gives what is new.
        threads: Where it is called.
        draining: Streams end when the worker is about to.
    """

    def __init__(
        self, read: Callable[[int], News], threads: Executor, draining: Draining, log: FilteringBoundLogger
    ) -> None:
        self._read = read
        self._threads = threads
        self._draining = draining
        self._log = log
        self._listeners = 0
        self._closed = False
        self._reader: asyncio.Task[None] | None = None
        self._next: asyncio.Future[News | None] | None = None

    def stream(self) -> AsyncIterator[ServerSentEventMessage]:
        """Events until the worker drains, or for a minute.

        Raises:
            Unavailable: Too many listen already.
        """
        if self._listeners >= MOST_LISTENERS:
            raise Unavailable("the live overview")
        return self._events()

    def close(self) -> None:
        """Ends all streams."""
        self._closed = True

    @property
    def _over(self) -> bool:
        return self._closed or self._draining.begun

    async def _events(self) -> AsyncIterator[ServerSentEventMessage]:
        if self._listeners >= MOST_LISTENERS:
            return  # many asked at once, and the places went to those who were heard first
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + _LONGEST_SECONDS
        self._listeners += 1
        try:
            yield ServerSentEventMessage(data=None, retry=_AGAIN_MILLISECONDS)
            while not self._over and (left := ends_at - loop.time()) > 0:
                if self._reader is None:
                    self._next = loop.create_future()
                    self._reader = loop.create_task(self._read_on())
                # Not waited for itself: who goes away must not take it from the others.
                done, _ = await asyncio.wait([self._coming], timeout=left)
                news = done.pop().result() if done else None
                if news is None:
                    return
                for name, html in news.items():
                    yield ServerSentEventMessage(data=html, event=name)
        finally:
            self._listeners -= 1

    @property
    def _coming(self) -> "asyncio.Future[News | None]":
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    def _tell(self, news: News | None) -> None:
        told, self._next = self._coming, asyncio.get_running_loop().create_future()
        told.set_result(news)

    async def _read_on(self) -> None:
        """Reads for as long as anybody listens."""
        edition = 0
        try:
            while self._listeners and not self._over:
                reading = asyncio.ensure_future(in_thread(self._threads, partial(self._read, edition)))
                if not await self._finished(reading):
                    return  # nobody is left to be told; the thread ends by itself
                self._tell(reading.result())
                edition += 1
                await self._finished(asyncio.ensure_future(asyncio.sleep(_EVERY_SECONDS)))
        except Exception as error:  # noqa: BLE001 - browsers ask again; whatever it was, they must not wait in vain
            self._log.exception("live_overview_failed", reason=str(error))
        finally:
            self._reader = None
            self._tell(None)

    async def _finished(self, awaited: "asyncio.Future[Any]") -> bool:
        """Waits for something for as long as anybody listens; whether it came."""
        while self._listeners and not self._over:
            done, _ = await asyncio.wait([awaited], timeout=_LOOK_SECONDS)
            if done:
                return True
        awaited.cancel()
        return False
