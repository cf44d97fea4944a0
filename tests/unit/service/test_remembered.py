import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service.remembered import Remembered
from cxi_bandit.service.throttle import Bucket, RateLimited

SECOND_CACHE = 2.0


class Registrar:
    """A database of names that can be slow, away or wrong about one."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.names = {"shop": "shop's key"}
        self.away = False
        self.slow = asyncio.Event()
        self.slow.set()
        self.asked = 0

    async def look_up(self, name: str) -> str | None:
        self.asked += 1
        await self.slow.wait()
        if self.away:
            raise Unavailable("the database")
        return self.names.get(name)

    def clock(self) -> float:
        return self.at

    def remembered(self) -> Remembered[str, str | None]:
        guesses = Bucket(1, 10, self.clock)
        return Remembered(self.look_up, guesses, cache_seconds=SECOND_CACHE, away_seconds=600.0, now=self.clock)


def told(story: Callable[[Registrar, Remembered[str, str | None]], Awaitable[None]]) -> None:
    async def tell() -> None:
        registrar = Registrar()
        await story(registrar, registrar.remembered())

    asyncio.run(tell())


def test_an_answer_serves_for_the_cache_time_and_a_revocation_is_heard_after_it() -> None:
    async def story(database: Registrar, remembered: Remembered[str, str | None]) -> None:
        assert await remembered.get("shop") == "shop's key"
        del database.names["shop"]
        database.at += SECOND_CACHE - 0.01
        assert await remembered.get("shop") == "shop's key"
        assert database.asked == 1
        database.at += 0.02
        assert await remembered.get("shop") is None
        assert await remembered.get("shop") is None
        assert database.asked == 2

    told(story)


def test_what_was_known_is_trusted_for_ten_minutes_while_the_database_is_away_and_no_longer() -> None:
    async def story(database: Registrar, remembered: Remembered[str, str | None]) -> None:
        assert await remembered.get("shop") == "shop's key"
        database.away = True
        del database.names["shop"]
        for _ in range(10):
            database.at += 59.9
            assert await remembered.get("shop") == "shop's key"
            await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await remembered.get("till")
        database.at += 2.0
        with pytest.raises(Unavailable):
            await remembered.get("shop")
        database.away = False
        assert await remembered.get("shop") is None

    told(story)


def test_when_the_database_is_back_a_revocation_is_heard_by_the_next_but_one() -> None:
    async def story(database: Registrar, remembered: Remembered[str, str | None]) -> None:
        await remembered.get("shop")
        database.away = True
        database.at += SECOND_CACHE
        assert await remembered.get("shop") == "shop's key"
        database.away = False
        del database.names["shop"]
        assert await remembered.get("shop") == "shop's key", "answered at once; the look-up is under way"
        await asyncio.sleep(0)
        assert await remembered.get("shop") is None

    told(story)


def test_a_stalled_database_holds_a_known_key_up_once_and_briefly() -> None:
    async def story(database: Registrar, remembered: Remembered[str, str | None]) -> None:
        await remembered.get("shop")
        database.at += SECOND_CACHE
        database.slow.clear()
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert set(await asyncio.gather(*(remembered.get("shop") for _ in range(100)))) == {"shop's key"}
        first = loop.time() - started
        assert 0.2 < first < 1.0
        assert database.asked == 2, "all who ask share one look-up"
        async with asyncio.timeout(0.1):
            assert await remembered.get("shop") == "shop's key"
        database.slow.set()

    told(story)


def test_guesses_are_paid_for_and_push_out_nothing_that_is_known() -> None:
    async def story(database: Registrar, remembered: Remembered[str, str | None]) -> None:
        await remembered.get("shop")
        refused = 0
        for number in range(30):
            try:
                assert await remembered.get(f"guess {number}") is None
            except RateLimited:
                refused += 1
        assert (refused, database.asked) == (20, 11), "what exists costs no guess"
        database.at += SECOND_CACHE
        assert await remembered.get("shop") == "shop's key"

    told(story)


def test_who_gives_up_waiting_does_not_take_the_answer_from_the_others() -> None:
    async def story(database: Registrar, remembered: Remembered[str, str | None]) -> None:
        database.slow.clear()
        impatient = asyncio.create_task(remembered.get("shop"))
        patient = asyncio.create_task(remembered.get("shop"))
        await asyncio.sleep(0)
        impatient.cancel()
        database.slow.set()
        assert await patient == "shop's key"

    told(story)
