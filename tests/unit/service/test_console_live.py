"""The stream of the overview: one reader for all, an end in time, and nothing held up."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar.response.sse import ServerSentEventMessage
from structlog.typing import FilteringBoundLogger

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service.console import live as module
from cxi_bandit.service.console.live import MOST_LISTENERS, Live, News
from cxi_bandit.service.draining import Draining
from tests.harness.waiting import soon

Heard = list[tuple[str | None, Any]]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)


class Newsroom:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.editions: list[int] = []
        self.failing = False
        self.held = threading.Event()
        self.held.set()

    def read(self, edition: int) -> News:
        self.held.wait(10)
        if self.failing:
            raise RuntimeError("no news")
        self.editions.append(edition)
        return {"numbers": f"<p>{edition}</p>"}


async def heard(stream: AsyncIterator[ServerSentEventMessage], most: int = 1_000_000) -> Heard:
    found: Heard = []
    async for message in stream:
        if message.event is not None:
            found.append((message.event, message.data))
        if len(found) == most:
            break
    return found


def test_all_who_listen_hear_the_same_from_one_reader(quiet: FilteringBoundLogger) -> None:
    async def main() -> None:
        room, draining = Newsroom(), Draining()
        with ThreadPoolExecutor(1) as threads:
            live = Live(room.read, threads, draining, quiet)
            listeners = [asyncio.create_task(heard(live.stream())) for _ in range(20)]
            await soon(lambda: len(room.editions) > 2)
            draining.begin()
            told = await asyncio.gather(*listeners)
        assert all(one == told[0] for one in told)
        # The last one may have been read when they were sent away.
        made = [("numbers", f"<p>{edition}</p>") for edition in room.editions]
        assert told[0] in (made, made[:-1])

    run(main())


def test_nobody_reads_where_nobody_listens(quiet: FilteringBoundLogger) -> None:
    async def main() -> None:
        room = Newsroom()
        with ThreadPoolExecutor(1) as threads:
            live = Live(room.read, threads, Draining(), quiet)
            for _ in range(2):
                stream = live.stream()
                assert await heard(stream, 2) == [("numbers", "<p>0</p>"), ("numbers", "<p>1</p>")]
                await stream.aclose()  # type: ignore[attr-defined]
                await soon(lambda: live._reader is None)
                last = len(room.editions)
                await asyncio.sleep(0.2)
                assert len(room.editions) == last
        assert room.editions.count(0) == 2, "who comes later begins anew"

    run(main())


def test_a_worker_that_drains_or_closes_ends_every_stream_while_the_database_is_slow(
    quiet: FilteringBoundLogger,
) -> None:
    async def main() -> None:
        for ends in ("drains", "closes"):
            room, draining = Newsroom(), Draining()
            room.held.clear()
            with ThreadPoolExecutor(1) as threads:
                live = Live(room.read, threads, draining, quiet)
                listeners = [asyncio.create_task(heard(live.stream())) for _ in range(3)]
                await asyncio.sleep(0.05)
                if ends == "drains":
                    draining.begin()
                else:
                    live.close()
                told = await asyncio.wait_for(asyncio.gather(*listeners), 2)
                room.held.set()
            assert told == [[], [], []]
            assert await heard(live.stream()) == [], "who comes now is sent away at once"

    run(main())


def test_a_stream_ends_in_time_and_the_browser_asks_again(
    quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_SECONDS", 1.0)

    async def main() -> None:
        room = Newsroom()
        with ThreadPoolExecutor(1) as threads:
            live = Live(room.read, threads, Draining(), quiet)
            first = [message async for message in live.stream()]
            assert first[0].retry == 1000
            assert len(first) > 1
            assert await heard(live.stream())

    run(main())


def test_a_reader_that_fails_ends_the_streams_and_the_next_begins_anew(quiet: FilteringBoundLogger) -> None:
    async def main() -> None:
        room = Newsroom()
        room.failing = True
        with ThreadPoolExecutor(1) as threads:
            live = Live(room.read, threads, Draining(), quiet)
            assert await heard(live.stream()) == []
            room.failing = False
            assert await heard(live.stream(), 1) == [("numbers", "<p>0</p>")]

    run(main())


def test_those_who_come_at_one_moment_find_no_more_places_than_there_are(quiet: FilteringBoundLogger) -> None:
    """A place is taken when the first word goes out: until then every one of them is still free."""

    async def main() -> None:
        room, draining = Newsroom(), Draining()
        with ThreadPoolExecutor(1) as threads:
            live = Live(room.read, threads, draining, quiet)
            streams = [live.stream() for _ in range(MOST_LISTENERS + 10)]
            first = [await anext(stream, None) for stream in streams]
            assert [word is None for word in first] == [False] * MOST_LISTENERS + [True] * 10
            draining.begin()
            for stream in streams:
                assert await heard(stream) == []

    run(main())


def test_so_many_listen_and_no_more(quiet: FilteringBoundLogger) -> None:
    async def main() -> None:
        room, draining = Newsroom(), Draining()
        with ThreadPoolExecutor(1) as threads:
            live = Live(room.read, threads, draining, quiet)
            listeners = [asyncio.create_task(heard(live.stream())) for _ in range(MOST_LISTENERS)]
            await asyncio.sleep(0.1)
            with pytest.raises(Unavailable):
                live.stream()
            draining.begin()
            await asyncio.gather(*listeners)

    run(main())
