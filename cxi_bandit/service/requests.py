"""What one request leaves behind: the facts its handlers note, told in one log line and one histogram."""

import time
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from cxi_bandit.service.draining import Draining
from cxi_bandit.telemetry.metrics import Metrics

_FACTS: Final = "cxi_bandit_facts"
_FAILED: Final = 500
_CLOSE: Final = (b"connection", b"close")


def facts(scope: Scope) -> dict[str, object]:
    """The facts of a request, to be added to: policy, decision id, key name; never a secret or a shopper's key."""
    held: dict[str, object] = scope["state"].setdefault(_FACTS, {})
    return held


class RequestLog:
    """Stands outermost, so that it sees also what no route answered."""

    def __init__(self, app: ASGIApp, log: FilteringBoundLogger, metrics: Metrics, draining: Draining) -> None:
        self._app = app
        self._draining = draining
        self._log = log
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and tells about it when it has been answered."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        noted = facts(scope)
        started = time.perf_counter()
        status = _FAILED

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._draining.begun:
                    message["headers"] = [*message["headers"], _CLOSE]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            seconds = time.perf_counter() - started
            method = str(scope["method"])
            route = str(scope.get("path_template") or "(none)")
            self._metrics.request_seconds.labels(method, route, status).observe(seconds)
            tell = self._log.error if "exc_info" in noted else self._log.info
            tell("request", method=method, route=route, status=status, ms=round(seconds * 1000, 3), **noted)
