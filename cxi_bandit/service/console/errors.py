"""What went wrong, as a page in words; programs get the same as a problem document (`service.problems`)."""

from http import HTTPMethod
from typing import Any, Final
from urllib.parse import quote, urlencode

from litestar import Request, Response
from litestar.exceptions import PermissionDeniedException
from litestar.plugins.htmx import ClientRedirect, HTMXRequest
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER, HTTP_401_UNAUTHORIZED
from msgspec import UNSET

from cxi_bandit.service.console.pages import HTML, Pages
from cxi_bandit.service.console.security import CSRF_COOKIE, PATH, of_console
from cxi_bandit.service.problems import Unauthenticated, answer_problem, problem, problem_reply
from cxi_bandit.service.requests import facts

SIGN_IN: Final = f"{PATH}/sign-in"
_READING: Final = frozenset({HTTPMethod.GET, HTTPMethod.HEAD})
_FROM_ELSEWHERE: Final = frozenset({"cross-site", "same-site"})
_STALE_FORM: Final = "The form was too old to be taken, or was not one of ours. Nothing was done: open it again."


class Answering:
    """The framework's exception handler for the whole application: pages for the console, documents for the rest."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def __call__(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """The answer to a request that failed."""
        if not of_console(request.scope["path"]):
            return answer_problem(request, error)
        seen = HTMXRequest(request.scope, request.receive)
        reply = problem_reply(error, facts(request.scope))
        if isinstance(error, Unauthenticated):
            if seen.htmx:
                return ClientRedirect(_sign_in(seen.htmx.current_url_abs_path or PATH))
            if request.method in _READING:
                if request.headers.get("sec-fetch-site") in _FROM_ELSEWHERE:
                    return self._arrived(seen)
                return Redirect(_sign_in(_wanted(request)), status_code=HTTP_303_SEE_OTHER)
        headers = {name: value for name, value in reply.headers.items() if name != "WWW-Authenticate"}
        answer = Response(self._page(seen, error), status_code=reply.status, media_type=HTML, headers=headers)
        if isinstance(error, PermissionDeniedException):
            # The token's cookie may be another deployment's, on another port of this host: the next page sets it anew.
            answer.delete_cookie(CSRF_COOKIE, path=PATH)
        return answer

    def _arrived(self, request: HTMXRequest) -> Response[str]:
        """A link on another site brings no cookie of ours, whoever is signed in: the page asks for itself once more."""
        html = self._pages.render(request, "arrived.html", {"wanted": _wanted(request)})
        return Response(html, status_code=HTTP_401_UNAUTHORIZED, media_type=HTML)

    def _page(self, request: HTMXRequest, error: Exception) -> str:
        told = problem(error)
        detail = _STALE_FORM if isinstance(error, PermissionDeniedException) else told.detail
        reasons = () if told.reasons is UNSET else told.reasons
        signing = isinstance(error, Unauthenticated)
        title = "The form was not taken" if isinstance(error, PermissionDeniedException) else told.title
        context = {"problem": told, "title": title, "detail": detail, "reasons": reasons, "signing": signing}
        return self._pages.render(request, "error.html", context)


def _wanted(request: Request[Any, Any, Any]) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return quote(request.scope["path"]) + (f"?{query}" if query else "")


def _sign_in(wanted: str) -> str:
    return f"{SIGN_IN}?{urlencode({'next': wanted})}"
