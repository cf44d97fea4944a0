"""What a person does here: a page that says what would happen and asks, and the same page sent.

A refusal is told on that page, beside what stands by then, and nothing was done.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER
from msgspec import UNSET

from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import CxiBanditError, InvalidInput, RolloutConflict, WrongStep
from cxi_bandit.domain.gate import Reason, RefusedByGate
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.service.console.pages import Pages, shown_to
from cxi_bandit.service.console.security import PATH
from cxi_bandit.service.problems import problem, problem_reply
from cxi_bandit.service.requests import facts

_REFUSALS: Final = (InvalidInput, RefusedByGate, RolloutConflict, WrongStep)

Form = Mapping[str, str]


class Asked(NamedTuple):
    """What an action is about.

    Attributes:
        place: The parameters of the page's address.
        by: The name of the key that somebody signed in with.
    """

    place: Mapping[str, Any]
    by: str


class Done(NamedTuple):
    """An action that was done.

    Attributes:
        leads_to: The page that shows what has become of it.
        noted: Facts for the request's line.
    """

    leads_to: str
    noted: Mapping[str, object]


class Action(NamedTuple):
    """A page and what it does when it is sent.

    Attributes:
        path: Below the console's.
        scope: What the HTTP API asks for the same.
        read: What the template names; called in a thread.
        act: Does it, by the engine's verb, or raises why not; called in a thread.
    """

    path: str
    scope: Scope
    template: str
    read: Callable[[Asked], Mapping[str, Any]]
    act: Callable[[Asked, Form], Done]


class Refusal(NamedTuple):
    """Why an action was not done."""

    title: str
    detail: str
    reasons: tuple[Reason, ...]
    field: str


def confirmed(action: Action, pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers of an action."""

    @get(action.path, opt=shown_to(action.scope))
    async def ask(request: HTMXRequest) -> Response[str]:
        asked = _asked(request)
        return await pages.show(request, action.template, lambda: {**action.read(asked), "typed": {}, "refusal": None})

    @post(action.path, status_code=HTTP_303_SEE_OTHER, opt=shown_to(action.scope))
    async def send(request: HTMXRequest) -> Response[Any]:
        asked, typed = _asked(request), {name: str(value) for name, value in (await request.form()).items()}

        def attempt() -> Done | CxiBanditError:
            try:
                return action.act(asked, typed)
            except _REFUSALS as error:
                return error

        result = await pages.in_thread(attempt)
        noted = facts(request.scope)
        if isinstance(result, Done):
            noted.update(result.noted)
            return Redirect(result.leads_to, status_code=HTTP_303_SEE_OTHER)
        status = problem_reply(result, noted).status
        context = {"typed": typed, "refusal": _told(result)}
        return await pages.show(request, action.template, lambda: {**action.read(asked), **context}, status=status)

    return [ask, send]


def done(policy: PolicyName | None, what: str, **noted: object) -> Done:
    """An action about a policy, or all of them, that leads to its page, which says what was done."""
    page = f"{PATH}/policies" if policy is None else f"{PATH}/policies/{policy}"
    return Done(f"{page}?done={what}", {"policy": policy, **noted})


def _asked(request: HTMXRequest) -> Asked:
    return Asked(request.path_params, request.user.name)


def _told(error: CxiBanditError) -> Refusal:
    told = problem(error)
    field = "" if told.pointer is UNSET else told.pointer.removeprefix("/").partition("/")[0]
    return Refusal(told.title, told.detail, () if told.reasons is UNSET else told.reasons, field)
