"""Requests with an Idempotency-Key that are being answered now: a racing duplicate waits for the first one's answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from cxi_bandit.domain.errors import IdempotencyConflict, IdempotencyInProgress
from cxi_bandit.engine.ports import IdempotencyToken

Answer = TypeVar("Answer")


class KeysUnderWay(Generic[Answer]):
    """The keys of one event loop. Duplicates in other processes are told apart where the key is written."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[bytes, asyncio.Future[Answer]]] = {}

    async def answer(
        self, token: IdempotencyToken, deadline_seconds: float, make: Callable[[float], Awaitable[Answer]]
    ) -> tuple[Answer, bool]:
        """The answer for a key, and whether another request made it.

        Args:
            make: Makes it, within the seconds it is given. Where the first request fails, the next one tries.

        Raises:
            IdempotencyConflict: The key is being used with another body.
            IdempotencyInProgress: The first request is not answered within this one's deadline.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_seconds
        key = (token.caller, token.key)
        while (held := self._first.get(key)) is not None:
            body, first = held
            if body != token.body_sha256:
                raise IdempotencyConflict(token.key)
            await asyncio.wait([first], timeout=deadline - loop.time())
            if not first.done():
                raise IdempotencyInProgress(token.key)
            if first.exception() is None:
                return first.result(), True
        return await self._make(key, token, deadline - loop.time(), make), False

    async def _make(
        self,
        key: tuple[str, str],
        token: IdempotencyToken,
        seconds: float,
        make: Callable[[float], Awaitable[Answer]],
    ) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._first[key] = (token.body_sha256, future)
        try:
            made = await make(seconds)
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # looked at: with nobody waiting it would be reported as forgotten
            raise
        else:
            future.set_result(made)
            return made
        finally:
            del self._first[key]
