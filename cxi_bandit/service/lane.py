"""The short way of `POST /v1/decisions`: past the framework, which costs as much as deciding and writing together.

The route is declared with the framework all the same: there it says who may call it and what travels, and there every
request goes that is in any way unusual. On both ways the same code guards, decides, commits and words the answer.
"""

import time
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from litestar import Litestar
from litestar._asgi.utils import is_valid_host  # what the framework asks of the header, whichever way is taken
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from cxi_bandit.service.auth import Gatekeeper
from cxi_bandit.service.batches import decode_one
from cxi_bandit.service.decisions import ONE_PATH, CommitOne
from cxi_bandit.service.decoding import MalformedBody
from cxi_bandit.service.desk import Desk
from cxi_bandit.service.problems import problem_reply
from cxi_bandit.service.requests import RequestLog, facts

_METHOD: Final = "POST"
_HOSTS: Final = 256
_LENGTH_DIGITS: Final = 18
"""A number of thousands of digits is none that `int` reads."""

_valid_host: Final = lru_cache(_HOSTS)(is_valid_host)


class Lane:
    """Answers what is plainly one decision to be made; leaves all else to the framework.

    Args:
        framework: The application's own way, told of by `log` itself.
        body_bytes: Longest request body.
    """

    def __init__(
        self,
        app: Litestar,
        framework: ASGIApp,
        gatekeeper: Gatekeeper,
        log: RequestLog,
        desk: Desk,
        commit_one: CommitOne,
        *,
        body_bytes: int,
    ) -> None:
        self._framework = framework
        self._gatekeeper = gatekeeper
        self._log = log
        self._desk = desk
        self._commit_one = commit_one
        self._body_bytes = body_bytes
        self._handler = _declared_handler(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        length = self._length(scope)
        if length is None:
            await self._framework(scope, receive, send)
            return
        started = time.perf_counter()
        scope.setdefault("state", {})
        scope["route_handler"] = self._handler
        noted = facts(scope)
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        try:
            try:
                await self._gatekeeper.admit(scope)
                raw = await self._body(receive, length)
                reply = await self._commit_one(scope, raw, decode_one(raw))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a problem
                reply = problem_reply(error, noted)
            status = reply.status
            await reply.send(self._log.headers, send)
        finally:
            self._log.tell(_METHOD, ONE_PATH, status, time.perf_counter() - started, noted)

    def _length(self, scope: Scope) -> int | None:
        """How many bytes the body of a request has that is plainly one decision to be made; None of any other."""
        if scope["type"] != ScopeType.HTTP or scope["path"] != ONE_PATH or scope["method"] != _METHOD:
            return None
        if scope["query_string"] or scope.get("root_path"):
            return None
        hosts, lengths, length = 0, 0, 0
        for name, value in scope["headers"]:
            if name == b"host":
                if not _valid_host(value):
                    return None
                hosts += 1
            elif name == b"content-length":
                length = int(value) if value.isdigit() and len(value) <= _LENGTH_DIGITS else self._body_bytes + 1
                if length > self._body_bytes:
                    return None
                lengths += 1
        return length if hosts == lengths == 1 else None

    async def _body(self, receive: Receive, length: int) -> bytes:
        """The body, asked for until it is whole: to be told that nothing follows takes the server's threads as long."""
        parts = []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise MalformedBody("", "the body ended too early")
            parts.append(message["body"])
            length -= len(message["body"])
            if length <= 0 or not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def _declared_handler(app: Litestar) -> HTTPRouteHandler:
    """What the route declares is what the guard goes by, on the short way too."""
    return next(
        handler
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path == ONE_PATH
        for handler in route.route_handlers
        if _METHOD in handler.http_methods
    )
