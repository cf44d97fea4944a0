"""What a browser is told about the console's pages, and what is asked of its requests before a page sees them."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from litestar import Request
from litestar.config.csrf import CSRFConfig
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.middleware.csrf import CSRFMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.service.problems import Forbidden
from cxi_bandit.service.routing import body_of, headers_of, of_another_origin

PATH: Final = "/console"
STATIC: Final = f"{PATH}/static"
CSRF_COOKIE: Final = "cxi_console_csrf"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: browsers then send forms with the origin `null`.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_ENCODED: Final = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_NOT_KEPT: Final = (b"cache-control", b"no-store")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({b"same-origin", b"none"})
_FORM: Final = b"application/x-www-form-urlencoded"
_FORM_SECONDS: Final = 10.0
"""Anybody may begin the one that signs in, and a worker that is to end answers first what was begun."""


def of_console(path: str) -> bool:
    """Whether a path is the console's to answer."""
    return path == PATH or path.startswith(f"{PATH}/")


def secret_for(purpose: str, secret: bytes) -> bytes:
    """A key of its own for each purpose, from the one secret that the deployment keeps for its console."""
    return hmac.digest(secret, purpose.encode(), hashlib.sha256)


def telling_browsers(app: ASGIApp) -> ASGIApp:
    """Puts the headers on every answer under the console's path, whoever gave it."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        if not of_console(scope["path"]):
            await app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                usual = [*message["headers"], *_ENCODED]
                kept = any(name.lower() == b"cache-control" for name, _ in usual)
                message["headers"] = usual if kept else [*usual, _NOT_KEPT]
            await send(message)

        await app(scope, receive, sending)

    return told


class SignedTokens(CSRFMiddleware):
    """The framework's tokens, for which one that it would trip over is no token."""

    def _decode_csrf_token(self, token: str) -> str | None:
        return super()._decode_csrf_token(token) if token.isascii() else None


def csrf_protection(secret: bytes, *, tls: bool) -> DefineMiddleware:
    """A token that a form must bring as its cookie does: the framework's, on the console's routes alone."""
    return DefineMiddleware(
        SignedTokens,
        config=CSRFConfig(
            secret=csrf_secret(secret),
            cookie_name=CSRF_COOKIE,
            cookie_path=PATH,
            cookie_secure=tls,
            cookie_httponly=True,
            cookie_samesite="strict",
        ),
    )


def csrf_secret(secret: bytes) -> str:
    """What the tokens are signed with."""
    return secret_for("csrf", secret).hex()


class HouseRules:
    """Refuses what no page of ours would send.

    What changes something comes from a page of ours: browsers say so (`Sec-Fetch-Site`, and `Origin` where there is no
    TLS), beside the token that every form brings. Another service on this host could set that token's cookie.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request pass, its body read.

        Raises:
            Forbidden: It comes from another site.
            InvalidInput: It is no form.
            MalformedBody: It ended before its end.
            HTTPException: It was not there in time.
        """
        headers = headers_of(scope)
        if str(scope.get("method")) not in _SAFE:
            if not _from_here(headers):
                raise Forbidden("this was sent by another site; nothing was done")
            if headers.get(b"content-type", _FORM).partition(b";")[0].strip().lower() != _FORM:
                raise InvalidInput("content-type", f"must be {_FORM.decode()}")
            form = await _form_of(Request[Any, Any, Any](scope, receive))
            # Read here, since the framework remembers the latest thousand forms that it reads itself, pasted keys too.
            ScopeState.from_scope(scope).form = dict(parse_qs(form.decode("latin-1"), keep_blank_values=True))
        await self._app(scope, receive, send)


def _from_here(headers: Mapping[bytes, bytes]) -> bool:
    """Whether no other site's page sent it. What is said of the site holds behind a proxy that renames the host too."""
    site = headers.get(b"sec-fetch-site")
    return not of_another_origin(headers) if site is None else site in _OWN


async def _form_of(request: Request[Any, Any, Any]) -> bytes:
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            return await body_of(request)
    except TimeoutError:
        detail = f"the form was not there within {_FORM_SECONDS:g} s; nothing was done"
        raise HTTPException(detail, status_code=HTTPStatus.REQUEST_TIMEOUT) from None
