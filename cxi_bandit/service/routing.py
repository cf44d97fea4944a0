"""How a route is declared: who may call it and what travels, in one place that the guard and the schema both read."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

import msgspec
from litestar.response.base import ASGIResponse

from cxi_bandit.service.auth import Access

T = TypeVar("T")

_JSON: Final = "application/json"
_ENCODER: Final = msgspec.json.Encoder()


def declared(
    access: Access,
    summary: str,
    *,
    answer: Any = None,  # noqa: ANN401 - a message type, or a union of several
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


async def in_thread(threads: Executor, call: Callable[[], T]) -> T:
    """Awaits a synchronous port."""
    return await asyncio.get_running_loop().run_in_executor(threads, call)
