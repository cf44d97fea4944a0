"""`/v1/audit`: who did what, when; newest first, a page at a time."""

import re
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.release import AuditLine
from cxi_bandit.service.routing import declared, in_thread, json_answer

_MOST: Final = 1000
_USUAL: Final = 100
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


class AuditLineAnswer(msgspec.Struct, frozen=True):
    """A line of the audit trail; what it is about stands in `detail`, never a secret."""

    number: int
    at: datetime
    actor: str
    action: str
    policy: str | None
    detail: dict[str, str]


class AuditAnswer(msgspec.Struct, frozen=True):
    """A page of the trail. `before`, sent back, gives the next page; null when this is the last."""

    entries: list[AuditLineAnswer]
    before: int | None


def trail_routes(engine: Engine, threads: Executor) -> list[HTTPRouteHandler]:
    """The handler, closed over what it needs."""

    @get(
        "/v1/audit",
        opt=declared(Scope.READ, "The audit trail, newest first", answer=AuditAnswer, parameters=("before", "limit")),
    )
    async def read_trail(request: Request[Any, Any, Any]) -> ASGIResponse:
        before, limit = _number(request, "before"), _number(request, "limit") or _USUAL
        if limit > _MOST:
            raise InvalidInput("limit", f"the query parameter limit is at most {_MOST}")
        # One line more than asked for tells whether there is another page.
        lines = await in_thread(threads, lambda: engine.store.trail.page(before, limit + 1))
        page = lines[:limit]
        return json_answer(AuditAnswer(list(map(_told, page)), page[-1].number if len(lines) > limit else None))

    return [read_trail]


def _number(request: Request[Any, Any, Any], name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(name, f"the query parameter {name} is a whole number from 1")
    return int(text)


def _told(line: AuditLine) -> AuditLineAnswer:
    entry = line.entry
    return AuditLineAnswer(line.number, entry.at, entry.actor, entry.action, entry.policy, entry.detail)
