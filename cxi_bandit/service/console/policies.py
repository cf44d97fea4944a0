"""The pages of policies: all of them at a glance, and one of them whole."""

from typing import Any, Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.htmx import HTMXRequest

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.service.console.lineage import line_of
from cxi_bandit.service.console.pages import Pages, shown_to
from cxi_bandit.service.console.policy_facts import all_policies, whole_policy
from cxi_bandit.service.console.reading import number_asked
from cxi_bandit.service.promotions import known_policy

_DONE: Final = {
    "proposed": "Proposed. Somebody with the scope approve may now approve it.",
    "approved": "Approved.",
    "rolled-back": "Rolled back.",
    "pinned": "Pinned. Workers take it up within seconds.",
    "lifted": "Lifted. Workers take it up within seconds.",
    "halted": "Halted: everything goes to hold within seconds, until the halt is lifted.",
}
"""What an action that led here has done, by the word in its address."""


def policy_pages(engine: Engine, pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @get("/policies", opt=shown_to(Scope.READ))
    async def list_policies(request: HTMXRequest) -> Response[str]:
        done = _DONE.get(request.query_params.get("done", ""))
        return await pages.show(request, "policies.html", lambda: {"done": done, **all_policies(engine)})

    @get("/policies/{name:str}", opt=shown_to(Scope.READ))
    async def read_policy(request: HTMXRequest, name: FromPath[str]) -> Response[str]:
        done = _DONE.get(request.query_params.get("done", ""))
        return await pages.show(
            request, "policy.html", lambda: {"done": done, **whole_policy(engine, known_policy(engine, name))}
        )

    @get("/policies/{name:str}/lineage", opt=shown_to(Scope.READ))
    async def read_lineage(request: HTMXRequest, name: FromPath[str]) -> Response[str]:
        newest = number_asked(request, "from")

        def read() -> dict[str, Any]:
            policy = known_policy(engine, name)
            return {"policy": policy, "line": line_of(policy, newest, engine.store.registry)}

        return await pages.show(request, "lineage.html", read)

    return [list_policies, read_policy, read_lineage]
