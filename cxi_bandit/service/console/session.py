"""Who is signed in: a cookie that names an API key by its digest, sealed, and is good for a stated time.

It is written when somebody signs in and at no other time: an answer still under way when its reader signs out must not
bring the session back. Whether the key is still good is asked anew with every request.
"""

from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from litestar.connection import ASGIConnection
from litestar.exceptions import SerializationException
from litestar.middleware.session import SessionMiddleware
from litestar.middleware.session.client_side import ClientSideSessionBackend, CookieBackendConfig
from litestar.types import ASGIApp, Scope

from cxi_bandit.domain.access import ApiKey
from cxi_bandit.service.auth import Gatekeeper, KnownKeys
from cxi_bandit.service.console.security import PATH, secret_for
from cxi_bandit.service.problems import Unauthenticated
from cxi_bandit.service.throttle import Throttle

COOKIE: Final = "cxi_console"
_DIGEST: Final = "key"


class SealedCookies(ClientSideSessionBackend):
    """The framework's sealed cookies, for which one that nobody sealed is no session, whatever it holds."""

    def load_data(self, data: list[bytes]) -> dict[str, Any]:
        """What was sealed. The framework reads the stated end before it opens the seal, and may trip over it."""
        try:
            return super().load_data(data)
        except (InvalidTag, SerializationException, ValueError, LookupError, TypeError, RecursionError):
            return {}


class Sessions:
    """Seals and opens the cookies of one deployment.

    Args:
        secret: The console's own, the same in every worker.
        seconds: How long a session is good.
        tls: Whether browsers come over TLS, and may send the cookie over nothing else.
    """

    def __init__(self, secret: bytes, *, seconds: int, tls: bool) -> None:
        self._cookies = SealedCookies(
            CookieBackendConfig(
                secret=secret_for("session", secret),
                key=COOKIE,
                max_age=seconds,
                path=PATH,
                httponly=True,
                samesite="strict",
                secure=tls,
            )
        )

    @property
    def middleware(self) -> Callable[[ASGIApp], ASGIApp]:
        """For the routes that sign in and out: it alone writes the cookie."""
        cookies = self._cookies
        # A function, since the framework copies its routes deeply, and a sealing key cannot be copied.
        return lambda app: SessionMiddleware(app, cookies)

    async def digest(self, scope: Scope) -> bytes | None:
        """The digest of the key that a request's session names."""
        held = await self._cookies.load_from_connection(ASGIConnection[Any, Any, Any, Any](scope))
        named = held.get(_DIGEST)
        return bytes.fromhex(named) if isinstance(named, str) else None

    def cookie(self, digest: bytes) -> str:
        """A session's cookie, as a browser sends it."""
        [sealed] = self._cookies.dump_data(named(digest))
        return f"{COOKIE}={sealed.decode()}"


def named(digest: bytes) -> dict[str, str]:
    """What a session holds of a key."""
    return {_DIGEST: digest.hex()}


class SessionGatekeeper(Gatekeeper):
    """The gatekeeper of the console's pages: it goes by the session, and by no header that a script could send."""

    def __init__(self, keys: KnownKeys, throttle: Throttle, sessions: Sessions) -> None:
        super().__init__(keys, throttle)
        self._sessions = sessions

    async def _identify(self, scope: Scope) -> ApiKey:
        wanted = await self._sessions.digest(scope)
        if wanted is None:
            raise Unauthenticated("sign in with an API key; a session ends after a while, and when its key is revoked")
        key = await self._keys.get(wanted)
        if key is None:
            raise Unauthenticated("the key you signed in with is revoked; sign in with another")
        return key
