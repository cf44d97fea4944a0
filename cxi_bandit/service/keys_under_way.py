"""Requests with an Idempotency-Key that are being answered now: a racing duplicate waits for the first one's answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from cxi_bandit.domain.errors import IdempotencyConflict, IdempotencyInProgress
from cxi_bandit.engine.ports import IdempotencyToken

Answer = TypeVar("Answer")


class KeysUnderWay(Generic[Answer]):
    """The keys of one event loop. Duplicates in other processes are told apart where the key is written.

    Args:
        stands: Whether an answer says that the key is its request's own. Where it is not, because another process was
            first with another body, the requests that waited here may be that one's duplicates.
    """

    def __init__(self, stands: Callable[[Answer], bool] = lambda _: True) -> None:
        self._stands = stands
        self._first: dict[tuple[str, str], tuple[bytes, asyncio.Future[Answer]]] = {}

    async def answer(
        self, token: IdempotencyToken, deadline_seconds: float, make: Callable[[float], Awaitable[Answer]]
    ) -> tuple[Answer, bool]:
        """The answer for a key, and whether another request made it.

        Args:
            make: Makes it, within the seconds it is given. Where the first request fails, the next one tries.

        Raises:
            IdempotencyConflict: The key stands for another body.
            IdempotencyInProgress: The first request is not answered within this one's deadline.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_seconds
        key = (token.caller, token.key)
        while (held := self._first.get(key)) is not None:
            body, first = held
            await asyncio.wait([first], timeout=deadline - loop.time())
            if not first.done():
                raise IdempotencyInProgress(token.key)
            if first.exception() is not None:
                continue
            if body == token.body_sha256:
                return first.result(), True
            if self._stands(first.result()):
                raise IdempotencyConflict(token.key)
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
