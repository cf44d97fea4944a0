"""How a route is declared: who may call it and what travels, in one place that the guard and the schema both read."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.response.base import ASGIResponse

from cxi_bandit.service.auth import Access
from cxi_bandit.service.decoding import MalformedBody

T = TypeVar("T")

_JSON: Final = "application/json"
_ENCODER: Final = msgspec.json.Encoder()


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


def json_answer(message: object, status: int = 200, headers: dict[str, str] | None = None) -> ASGIResponse:
    """A message as the response, without the framework's own way of encoding: that costs more than deciding."""
    return ASGIResponse(body=_ENCODER.encode(message), status_code=status, media_type=_JSON, headers=headers)


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
