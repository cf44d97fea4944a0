"""The first page: how the service and its policies do."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.htmx import HTMXRequest

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.service.console.pages import Pages, shown_to


def overview_pages(engine: Engine, pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @get("/", opt=shown_to(Scope.READ))
    async def overview(request: HTMXRequest) -> Response[str]:
        return await pages.show(request, "overview.html", lambda: {"versions": engine.store.registry.versions()})

    return [overview]
