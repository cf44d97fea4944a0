"""What one request leaves behind: the facts its handlers note, told in one log line and one histogram."""

import asyncio
import time
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, NamedTuple

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from cxi_bandit.service.draining import Draining
from cxi_bandit.service.reply import Headers
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.request_lines import RequestLines
from cxi_bandit.telemetry.totals import Totals

_FACTS: Final = "cxi_bandit_facts"
_CLOSE: Final = (b"connection", b"close")
_METHODS: Final = frozenset(HTTPMethod)
_OTHER: Final = "(other)"
"""Any other word is a method too, and callers know many: what they make up is no label."""


def facts(scope: Scope) -> dict[str, object]:
    """The facts of a request, to be added to: policy, decision id, key name; never a secret or a shopper's key."""
    held: dict[str, object] = scope["state"].setdefault(_FACTS, {})
    return held


class _Told(NamedTuple):
    method: str
    route: str
    status: int
    seconds: float
    noted: dict[str, object]


class RequestLog:
    """Tells of every request once it is answered. What one turn of the event loop answered is told together."""

    def __init__(
        self, log: FilteringBoundLogger, lines: RequestLines | None, metrics: Metrics, draining: Draining
    ) -> None:
        self._log = log
        self._lines = lines if lines is not None and lines.wanted else None
        self._metrics = metrics
        self._draining = draining
        self._told: list[_Told] = []
        self._histograms: dict[tuple[str, str, int], Totals] = {}

    def watching(self, app: ASGIApp) -> ASGIApp:
        """Stands outermost, so that it sees also what no route answered."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            scope.setdefault("state", {})
            noted = facts(scope)
            started = time.perf_counter()
            status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    message["headers"] = self.headers(message["headers"])
                await send(message)

            try:
                await app(scope, receive, noting)
            finally:
                route = str(scope.get("path_template") or "(none)")
                method = str(scope["method"]) if scope["method"] in _METHODS else _OTHER
                self.tell(method, route, status, time.perf_counter() - started, noted)

        return watched

    def headers(self, usual: Headers) -> Headers:
        """An answer's headers: a worker that is about to end sends its callers elsewhere."""
        return [*usual, _CLOSE] if self._draining.begun else usual

    def tell(self, method: str, route: str, status: int, seconds: float, noted: dict[str, object]) -> None:
        """Tells of an answered request, at the end of this turn of the event loop."""
        if not self._told:
            asyncio.get_running_loop().call_soon(self._tell_all)
        self._told.append(_Told(method, route, status, seconds, noted))

    def _tell_all(self) -> None:
        told, self._told = self._told, []
        lines: list[dict[str, Any]] = []
        seconds: dict[tuple[str, str, int], list[float]] = {}
        for one in told:
            seconds.setdefault((one.method, one.route, one.status), []).append(one.seconds)
            ms = round(one.seconds * 1000, 3)
            line = {"method": one.method, "route": one.route, "status": one.status, "ms": ms, **one.noted}
            if "exc_info" in line:
                self._log.error("request", **line)
            else:
                lines.append(line)
        for labels, values in seconds.items():
            self._histogram(labels).observe_all(values)
        if lines and self._lines is not None:
            self._lines.write(lines)

    def _histogram(self, labels: tuple[str, str, int]) -> Totals:
        found = self._histograms.get(labels)
        if found is None:
            found = self._histograms[labels] = self._metrics.request_seconds.labels(*labels)
        return found
