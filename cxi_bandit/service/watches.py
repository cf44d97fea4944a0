"""`/v1/policies/{name}/watches`: where the watches of a roll-out stand, and what became of forecasts."""

from concurrent.futures import Executor

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.engine.watch_status import WatchStatus, status
from cxi_bandit.service.promotions import known_policy
from cxi_bandit.service.routing import declared, in_thread, json_answer


def watch_routes(engine: Engine, threads: Executor) -> list[HTTPRouteHandler]:
    """The handler, closed over what it needs."""

    @get(
        "/v1/policies/{name:str}/watches",
        opt=declared(Scope.READ, "Where a policy's watches stand, and what became of forecasts", answer=WatchStatus),
    )
    async def read_watches(name: FromPath[str]) -> ASGIResponse:
        return json_answer(await in_thread(threads, lambda: status(known_policy(engine, name), engine.watching)))

    return [read_watches]
