"""Health, metrics, and the schema: for those who run the service rather than call it."""

from concurrent.futures import Executor
from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from prometheus_client import CONTENT_TYPE_LATEST

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.service.auth import OPEN
from cxi_bandit.service.openapi import openapi
from cxi_bandit.service.readiness import Readiness, ReadyAnswer
from cxi_bandit.service.routing import declared, in_thread, json_answer
from cxi_bandit.telemetry.metrics import Metrics


class HealthAnswer(msgspec.Struct, frozen=True):
    """`ok`, and what can be said about it."""

    status: str
    policies: int


def health_routes(engine: Engine, threads: Executor, metrics: Metrics, readiness: Readiness) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @get("/health/live", opt=declared(OPEN, "The process answers", answer=HealthAnswer))
    async def live() -> ASGIResponse:
        return json_answer(HealthAnswer("ok", len(list(engine.serving.policies))))

    @get("/health/ready", opt=declared(OPEN, "Decisions can be made and logged", answer=ReadyAnswer))
    async def ready() -> ASGIResponse:
        return json_answer(await readiness.check())

    @get("/metrics", opt=declared(Scope.READ, "Prometheus metrics, summed over the processes", answer=str))
    async def exposition() -> ASGIResponse:
        body = await in_thread(threads, metrics.exposition)
        return ASGIResponse(body=body, media_type=CONTENT_TYPE_LATEST)

    @get("/schema", opt=declared(OPEN, "This contract as OpenAPI 3.1", answer=dict[str, Any]))
    async def schema(request: Request[Any, Any, Any]) -> ASGIResponse:
        return json_answer(openapi(request.app))

    return [live, ready, exposition, schema]
