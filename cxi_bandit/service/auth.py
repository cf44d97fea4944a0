"""Who may call a route: Bearer keys with scopes. A route that declares no access cannot exist."""

import hmac
import secrets
import string
import zlib
from collections.abc import Callable
from hashlib import sha256
from http import HTTPMethod
from typing import Final, Literal

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from cxi_bandit.domain.access import ApiKey
from cxi_bandit.domain.access import Scope as KeyScope
from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.service.problems import Forbidden, Unauthenticated
from cxi_bandit.service.remembered import Remembered
from cxi_bandit.service.requests import facts
from cxi_bandit.service.throttle import Throttle, charge_to

OPEN: Final = "open"
"""Said by a route that anyone may call."""
SIGNED: Final = "signed"
"""Said by a route that checks a signature over the body itself."""

SESSION: Final = "session"
"""Said at `DOOR` by a page for people: who calls it is told by the session, and by no `Authorization` header."""
DOOR: Final = "door"

Access = KeyScope | Literal["open", "signed"]
KnownKeys = Remembered[bytes, ApiKey | None]

_PREFIX: Final = "cxi_"
_ALPHABET: Final = string.digits + string.ascii_letters
_SECRET_CHARACTERS: Final = 43  # 62^43 > 2^256
_CHECK_CHARACTERS: Final = 6
_KEY_CHARACTERS: Final = len(_PREFIX) + _SECRET_CHARACTERS + _CHECK_CHARACTERS
_NOT_OURS: Final = "this is not a key of ours: its prefix, length or checksum is wrong"
DECLARED: Final = "access"
"""Where a route says who may call it."""


def new_secret() -> str:
    """A key as its holder sees it, once: prefix, 256 random bits, checksum."""
    secret = _characters(secrets.randbits(256), _SECRET_CHARACTERS)
    return f"{_PREFIX}{secret}{_checksum(secret)}"


def digest(secret: str) -> bytes:
    """What is kept of a key."""
    return sha256(secret.encode()).digest()


def well_formed(secret: str) -> bool:
    """Whether prefix, length and checksum fit: a mistyped key never costs a look into the database."""
    body = secret.removeprefix(_PREFIX)
    if not (secret.isascii() and secret.startswith(_PREFIX) and len(body) == _SECRET_CHARACTERS + _CHECK_CHARACTERS):
        return False
    return hmac.compare_digest(body[_SECRET_CHARACTERS:], _checksum(body[:_SECRET_CHARACTERS]))


def _checksum(secret: str) -> str:
    return _characters(zlib.crc32(secret.encode()), _CHECK_CHARACTERS)


def _characters(number: int, length: int) -> str:
    found = []
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        found.append(_ALPHABET[rest])
    return "".join(found)


class Gatekeeper:
    """Turns a request into the key it came with, and refuses what that key does not allow.

    The digest, not the secret, is looked up and compared, so timing tells nothing.
    """

    def __init__(self, keys: KnownKeys, throttle: Throttle) -> None:
        self._keys = keys
        self._throttle = throttle

    async def admit(self, scope: Scope) -> None:
        """Lets a request pass, and notes whose it is.

        Raises:
            Unauthenticated: No key, or an unknown or revoked one.
            Forbidden: The key lacks the route's scope, or the route declares no access at all.
            RateLimited: The key asks too much, or too many ask with keys that are none.
            Unavailable: The database is away, and this key is not one known from before.
        """
        access: Access | None = scope["route_handler"].opt.get(DECLARED)
        if access in (OPEN, SIGNED):
            return
        key = await self._identify(scope)
        scope["user"] = key
        facts(scope)["key"] = key.name
        charge_to(scope, self._throttle.bucket(f"key {key.name}", key.rate_per_second, key.rate_burst))
        if access not in key.scopes:
            needed = "no scope opens this route" if access is None else f"it needs the scope {access}"
            raise Forbidden(f"key {key.name!r} does not allow this: {needed}")

    async def _identify(self, scope: Scope) -> ApiKey:
        kind, _, secret = _authorization(scope).partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not secret:
            raise Unauthenticated("send `Authorization: Bearer <key>`")
        if len(secret) != _KEY_CHARACTERS:
            raise Unauthenticated(_NOT_OURS)
        wanted = digest(secret)
        # A key that is known need not be spelled out again: the checksum costs ten times the digest.
        if not (self._keys.knows(wanted) or well_formed(secret)):
            raise Unauthenticated(_NOT_OURS)
        key = await self._keys.get(wanted)
        if key is None:
            raise Unauthenticated("this key is unknown or revoked")
        return key


def guarding(callers: Gatekeeper, people: Gatekeeper) -> Callable[[ASGIApp], ASGIApp]:
    """Stands before every route; the framework's own guards would copy the route handler for each request.

    Args:
        callers: Asks for a key.
        people: Asks for a session, where the route says so.
    """

    def before(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            gatekeeper = people if scope["route_handler"].opt.get(DOOR) == SESSION else callers
            await gatekeeper.admit(scope)
            await app(scope, receive, send)

        return guarded

    return before


def _authorization(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return value.decode("latin-1")
    return ""


class UndeclaredRoute(CxiBanditError):
    """A route says neither which scope opens it nor that it is open: the service must not start."""


def declared_access(app: Litestar) -> list[tuple[str, str, Access]]:
    """Every route of an app as (method, path, access).

    Raises:
        UndeclaredRoute: One of them declares nothing.
    """
    found: list[tuple[str, str, Access]] = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise UndeclaredRoute(f"{route.path} is no HTTP route, and only those can be guarded")
        for handler in route.route_handlers:
            methods = sorted(str(method) for method in handler.http_methods)
            if methods == [HTTPMethod.OPTIONS]:
                continue  # made by the framework; the guard refuses it, since it declares nothing
            access = handler.opt.get(DECLARED)
            if not (isinstance(access, KeyScope) or access in (OPEN, SIGNED)):
                raise UndeclaredRoute(f"{'/'.join(methods)} {route.path} declares no access")
            found.extend((method, route.path_format, access) for method in methods)
    return found
