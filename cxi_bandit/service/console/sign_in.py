"""Signing in with an API key, and out again."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from cxi_bandit.domain.access import Scope
from cxi_bandit.service.auth import OPEN, KnownKeys, digest, well_formed
from cxi_bandit.service.console.errors import SIGN_IN
from cxi_bandit.service.console.pages import Pages
from cxi_bandit.service.console.security import PATH
from cxi_bandit.service.console.session import Sessions, named
from cxi_bandit.service.requests import facts

_OWN_PAGE: Final = re.compile(re.escape(PATH) + r"(?:/(?!\.|%2[eE])[A-Za-z0-9_.~%:@!$&'()*+,;=-]*)*(?:\?[!-\[\]-~]*)?")
"""A page of ours with its query: no other site's, in no spelling that a browser might take for one, and no way out."""


def page_wanted(named_page: str | None) -> str:
    """Where to go after signing in; the first page where no page of ours is named."""
    if named_page is None or not _OWN_PAGE.fullmatch(named_page) or named_page.startswith(SIGN_IN):
        return PATH
    return named_page


def sign_in_pages(pages: Pages, sessions: Sessions, keys: KnownKeys, *, dev: bool) -> list[HTTPRouteHandler]:
    """The handlers. Look-ups of unknown keys are paid from the same bucket as the API's."""

    async def form(request: HTMXRequest, wanted: str, fault: str, status: int) -> Response[str]:
        context: Mapping[str, Any] = {"wanted": wanted, "fault": fault}
        return await pages.show(request, "sign_in.html", lambda: context, status=status)

    @get("/sign-in", opt={"access": OPEN})
    async def ask(request: HTMXRequest) -> Response[Any]:
        wanted = page_wanted(request.query_params.get("next"))
        if dev:
            return Redirect(wanted, status_code=HTTP_303_SEE_OTHER)
        return await form(request, wanted, "", HTTPStatus.OK)

    @post("/sign-in", opt={"access": OPEN}, middleware=[sessions.middleware])
    async def sign_in(request: HTMXRequest) -> Response[Any]:
        sent = await request.form()
        wanted, secret = page_wanted(sent.get("next")), str(sent.get("key", "")).strip()
        if not well_formed(secret):
            fault = "This is not a key of ours: its prefix, length or checksum is wrong. Paste it whole."
            return await form(request, wanted, fault, HTTPStatus.UNPROCESSABLE_ENTITY)
        found = await keys.get(digest(secret))
        if found is None:
            return await form(request, wanted, "This key is unknown or revoked.", HTTPStatus.UNAUTHORIZED)
        facts(request.scope)["key"] = found.name
        if Scope.READ not in found.scopes:
            fault = f"The key {found.name!r} lacks the scope read, which every page needs."
            return await form(request, wanted, fault, HTTPStatus.FORBIDDEN)
        request.set_session(named(digest(secret)))
        return Redirect(wanted, status_code=HTTP_303_SEE_OTHER)

    @post("/sign-out", opt={"access": OPEN}, middleware=[sessions.middleware])
    async def sign_out(request: HTMXRequest) -> Redirect:
        request.clear_session()
        return Redirect(SIGN_IN, status_code=HTTP_303_SEE_OTHER)

    return [ask, sign_in, sign_out]
