"""Racing duplicates of one Idempotency-Key: one makes the answer, the others wait for it, each within its deadline."""

import asyncio
from collections.abc import Coroutine

import pytest

from cxi_bandit.domain.errors import IdempotencyConflict, IdempotencyInProgress, Unavailable
from cxi_bandit.engine.ports import IdempotencyToken
from cxi_bandit.service.keys_under_way import KeysUnderWay

TOKEN = IdempotencyToken("shop", "k", b"body")


def run(main: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


class Maker:
    """Numbers its answers; can be made to wait and to fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = asyncio.Event()
        self.failures = 0

    async def __call__(self, _seconds: float) -> int:
        self.calls += 1
        call = self.calls
        await self.open.wait()
        await asyncio.sleep(0.01)
        if call <= self.failures:
            raise Unavailable("test")
        return call


def test_sixty_four_duplicates_have_one_answer() -> None:
    async def main() -> None:
        keys: KeysUnderWay[int] = KeysUnderWay()
        make = Maker()
        tasks = [asyncio.create_task(keys.answer(TOKEN, 5, make)) for _ in range(64)]
        await asyncio.sleep(0.01)
        make.open.set()
        answers = await asyncio.gather(*tasks)
        assert {answer for answer, _ in answers} == {1}
        assert sum(not replayed for _, replayed in answers) == 1
        assert await keys.answer(TOKEN, 5, make) == (2, False), "nothing is remembered once it is answered"

    run(main())


def test_a_duplicate_that_cannot_wait_is_told_that_the_first_is_being_answered() -> None:
    async def main() -> None:
        keys: KeysUnderWay[int] = KeysUnderWay()
        make = Maker()
        first = asyncio.create_task(keys.answer(TOKEN, 5, make))
        await asyncio.sleep(0.01)
        with pytest.raises(IdempotencyInProgress):
            await keys.answer(TOKEN, 0.02, make)
        make.open.set()
        assert await first == (1, False)

    run(main())


def test_another_body_is_a_conflict_and_other_callers_and_keys_are_free() -> None:
    async def main() -> None:
        keys: KeysUnderWay[int] = KeysUnderWay()
        make = Maker()
        first = asyncio.create_task(keys.answer(TOKEN, 5, make))
        await asyncio.sleep(0.01)
        other = asyncio.create_task(keys.answer(IdempotencyToken("shop", "k", b"another"), 5, make))
        await asyncio.sleep(0.01)
        assert not other.done(), "which of the two bodies stands is not known before the first is answered"
        make.open.set()
        with pytest.raises(IdempotencyConflict):
            await other
        assert await keys.answer(IdempotencyToken("other", "k", b"another"), 5, make) == (2, False)
        assert await first == (1, False)

    run(main())


def test_where_the_first_does_not_hold_its_key_another_body_may() -> None:
    async def main() -> None:
        keys: KeysUnderWay[int] = KeysUnderWay(lambda answer: answer != 1)
        make = Maker()
        first = asyncio.create_task(keys.answer(TOKEN, 5, make))
        await asyncio.sleep(0.01)
        others = [
            asyncio.create_task(keys.answer(IdempotencyToken("shop", "k", b"another"), 5, make)) for _ in range(2)
        ]
        await asyncio.sleep(0.01)
        make.open.set()
        assert await first == (1, False)
        assert await asyncio.gather(*others) == [(2, False), (2, True)]

    run(main())


def test_where_the_first_fails_the_next_one_tries() -> None:
    async def main() -> None:
        keys: KeysUnderWay[int] = KeysUnderWay()
        make = Maker()
        make.failures = 1
        tasks = [asyncio.create_task(keys.answer(TOKEN, 5, make)) for _ in range(3)]
        await asyncio.sleep(0.01)
        make.open.set()
        failed, *answered = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(failed, Unavailable)
        assert answered == [(2, False), (2, True)]

    run(main())
