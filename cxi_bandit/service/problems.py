"""Errors as RFC 9457 problem documents: a stable type, the field at fault, and never a stack trace."""

import math
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET

from cxi_bandit.domain.delivery import DeliveryConflict
from cxi_bandit.domain.errors import (
    CxiBanditError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidInput,
    NotFound,
    RolloutConflict,
    Unavailable,
    WrongStep,
)
from cxi_bandit.domain.gate import RefusedByGate
from cxi_bandit.service.decoding import MalformedBody
from cxi_bandit.service.reply import Reply
from cxi_bandit.service.requests import facts
from cxi_bandit.service.throttle import RateLimited
from cxi_bandit.service.wire import Problem

MEDIA_TYPE: Final = "application/problem+json"
_PREFIX: Final = "urn:cxi-bandit:problem:"
_ENCODER: Final = msgspec.json.Encoder()


class Unauthenticated(CxiBanditError):
    """No key, or one that is not known."""


class Forbidden(CxiBanditError):
    """A known key without the scope that the route needs."""


class _Kind(NamedTuple):
    name: str
    status: HTTPStatus
    title: str


_KINDS: Final[tuple[tuple[type[Exception], _Kind], ...]] = (
    (MalformedBody, _Kind("malformed-body", HTTPStatus.BAD_REQUEST, "The body is not JSON")),
    (InvalidInput, _Kind("invalid-input", HTTPStatus.UNPROCESSABLE_ENTITY, "A field cannot be accepted")),
    (NotFound, _Kind("not-found", HTTPStatus.NOT_FOUND, "There is no such thing")),
    (
        IdempotencyConflict,
        _Kind("idempotency-conflict", HTTPStatus.UNPROCESSABLE_ENTITY, "The Idempotency-Key was used before"),
    ),
    (
        IdempotencyInProgress,
        _Kind("idempotency-in-progress", HTTPStatus.CONFLICT, "The first request with this key is being answered"),
    ),
    (
        DeliveryConflict,
        _Kind("delivery-conflict", HTTPStatus.UNPROCESSABLE_ENTITY, "The webhook-id was used before"),
    ),
    (RefusedByGate, _Kind("refused-by-gate", HTTPStatus.CONFLICT, "The gate does not say go")),
    (WrongStep, _Kind("wrong-step", HTTPStatus.CONFLICT, "It is not where this can be done")),
    (RolloutConflict, _Kind("rollout-conflict", HTTPStatus.CONFLICT, "It was changed meanwhile")),
    (Unavailable, _Kind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "Try again shortly")),
    (RateLimited, _Kind("rate-limited", HTTPStatus.TOO_MANY_REQUESTS, "This caller asks too much at once")),
    (Unauthenticated, _Kind("unauthenticated", HTTPStatus.UNAUTHORIZED, "A valid API key is needed")),
    (Forbidden, _Kind("forbidden", HTTPStatus.FORBIDDEN, "The API key does not allow this")),
)
_INTERNAL: Final = _Kind("internal-error", HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed")


def problem(error: Exception) -> Problem:
    """The document of an error. What is not an error of ours or the framework's says nothing about its cause."""
    for kind, (name, status, title) in _KINDS:
        if isinstance(error, kind):
            document = Problem(_PREFIX + name, title, int(status), str(error))
            if isinstance(error, InvalidInput):
                pointer = error.pointer if error.pointer.startswith("/") else UNSET
                return msgspec.structs.replace(document, detail=error.detail, pointer=pointer)
            if isinstance(error, RefusedByGate):
                return msgspec.structs.replace(document, decision=error.decision, reasons=error.reasons)
            return document
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return Problem(_PREFIX + status.phrase.lower().replace(" ", "-"), status.phrase, int(status), _words(error))
    name, status, title = _INTERNAL
    return Problem(_PREFIX + name, title, int(status), "An unexpected error; it has been logged.")


def _words(error: HTTPException) -> str:
    return error.detail or HTTPStatus(error.status_code).description


def problem_reply(error: Exception, noted: dict[str, object]) -> Reply:
    """One place where failures become answers.

    Args:
        noted: The request's facts, which are told what went wrong.
    """
    document = problem(error)
    noted["problem"] = document.type.removeprefix(_PREFIX)
    headers = dict(getattr(error, "headers", None) or {})
    if isinstance(error, Unavailable | RateLimited):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    elif document.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    elif document.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        noted["exc_info"] = error
    return Reply(_ENCODER.encode(document), document.status, MEDIA_TYPE, headers)


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The framework's exception handler."""
    reply = problem_reply(error, facts(request.scope))
    return Response(
        content=reply.body, status_code=reply.status, media_type=reply.media_type, headers=dict(reply.headers)
    )
