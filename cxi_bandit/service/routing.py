"""How a route is declared: who may call it and what travels, in one place that the guard and the schema both read."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.response.base import ASGIResponse
from litestar.types import Scope

from cxi_bandit.service.auth import Access
from cxi_bandit.service.decoding import MalformedBody
from cxi_bandit.service.reply import json_reply

T = TypeVar("T")


def declared(
    access: Access,
    summary: str,
    *,
    answer: Any = None,  # noqa: ANN401 - a message type, a union, or a tuple of types of which one travels
    body: Any = None,  # noqa: ANN401 - as above
    status: int = 200,
    parameters: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A handler's `opt`.

    Args:
        parameters: Names of the headers (capitalised) and query parameters (lower case) it understands.
    """
    return {
        "access": access,
        "summary": summary,
        "answer": answer,
        "body": body,
        "status": status,
        "parameters": parameters,
    }


def json_answer(message: object, status: int = 200) -> ASGIResponse:
    """The same, for the framework to send."""
    return json_reply(message, status).response()


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """A request's headers, the first of each name."""
    return dict([*scope["headers"]][::-1])


def of_another_origin(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser says that a page of another origin sent it: all browsers do of what is posted.

    A proxy that renames the host makes every page another's.
    """
    origin = headers.get(b"origin")
    return origin is not None and origin.lower().partition(b"://")[2] != headers.get(b"host", b"").lower()


async def body_of(request: Request[Any, Any, Any]) -> bytes:
    """The whole body, at most as long as the settings allow.

    Raises:
        MalformedBody: It ended before its end: the caller went away, or sent chunks that are none.
    """
    try:
        return await request.body()
    except InternalServerException as error:
        # The framework's word for a body that breaks off; nothing of ours has run yet.
        raise MalformedBody("", "the body ended too early") from error


async def in_thread(threads: Executor, call: Callable[[], T]) -> T:
    """Awaits a synchronous port."""
    return await asyncio.get_running_loop().run_in_executor(threads, call)
