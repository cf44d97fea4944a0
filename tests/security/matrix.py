"""Every route against every set of scopes, every method and every spelling of its path; from the app's own routes.

The console's pages go by a session instead of a key in a header: there the same is tried with each key's session, and
with the key itself in the header, which must open nothing; elsewhere the session must open nothing.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Final, NamedTuple

from litestar import Litestar
from litestar.middleware.csrf import generate_csrf_token
from litestar.routes import HTTPRoute

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.auth import OPEN, SIGNED, Access, declared_access, digest, new_secret
from cxi_bandit.service.console.errors import SIGN_IN
from cxi_bandit.service.console.security import CSRF_COOKIE, csrf_secret, of_console
from cxi_bandit.service.console.session import Sessions
from tests.security.raw import Answer, Headers, RawClient

OPEN_ROUTES: Final = {
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/schema"),
    ("GET", "/console/sign-in"),
    ("POST", "/console/sign-in"),
    ("POST", "/console/sign-out"),
    ("GET", "/console/static/{name}"),
}
"""Who may be asked by anybody. Adding to it is a decision; nothing else opens a route."""
SIGNED_ROUTES: Final = {("POST", "/v1/webhooks/rewards/{source}")}
METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "get",
    "X",
)
ALL: Final = frozenset(Scope)

_SAMPLES: Final = {"int": "1", "float": "1.5", "uuid": "00000000-0000-7000-8000-000000000000", "path": "x/y"}
_PARAMETER: Final = re.compile(r"\{\w+(?::(?P<kind>\w+))?\}")
_MOST_NOTES: Final = 20


class MatrixFindings(NamedTuple):
    """How many requests were tried, how many got where they must not (or not where they must), the first of those."""

    trials: int
    open: int
    notes: list[str]


def routes_of(app: Litestar) -> list[tuple[str, str, Access]]:
    """(method, a path it answers, who may call it) of every route; parameters filled in by their type."""
    paths = {route.path_format: route.path for route in app.routes if isinstance(route, HTTPRoute)}
    return [(method, path_of(paths[path]), access) for method, path, access in declared_access(app)]


def path_of(template: str) -> str:
    """A path that the template takes."""
    return _PARAMETER.sub(lambda match: _SAMPLES.get(match["kind"], "x"), template)


def subsets(*sizes: int) -> list[frozenset[Scope]]:
    """All sets of scopes of these sizes; of every size without any."""
    wanted = sizes or range(len(ALL) + 1)
    return [frozenset(chosen) for size in wanted for chosen in combinations(sorted(ALL), size)]


def bearer(secret: str) -> Headers:
    """The header that carries a key."""
    return [(b"authorization", f"Bearer {secret}".encode())]


def session(engine: Engine, secret: str) -> Headers:
    """The cookies of a browser whose holder signed in with a key, and the token that its forms bring."""
    token = generate_csrf_token(csrf_secret(engine.console_key))
    sealed = Sessions(engine.console_key, seconds=3600, tls=False).cookie(digest(secret))
    return [(b"cookie", f"{sealed}; {CSRF_COOKIE}={token}".encode()), (b"x-csrftoken", token.encode())]


def presented(engine: Engine, path: str, secret: str) -> Headers:
    """A key as the route of this path asks for it."""
    return session(engine, secret) if of_console(path) else bearer(secret)


def turned_away(path: str, answer: Answer) -> bool:
    """Whether somebody whom the route does not know was let nowhere: a page sends readers to sign in."""
    if of_console(path) and answer.status == 303:
        return answer.headers["location"].startswith(f"{SIGN_IN}?")
    return answer.status == 401


def add_key(engine: Engine, name: str, scopes: frozenset[Scope]) -> str:
    """A key's secret, made for the matrix; it has no rate limit."""
    secret = new_secret()
    key = ApiKey(name=name, scopes=scopes, source=Source("matrix"), created_at=engine.clock(), rate_per_second=0.0)
    engine.store.access.add_key(key, digest(secret), "test")
    return secret


def try_every_route(app: Litestar, engine: Engine, told: Callable[[int], object] = lambda _: None) -> MatrixFindings:
    """Tries all of it, with keys of every set of scopes there is.

    Args:
        app: Made over `engine`, neither started nor in development mode.
        told: Called with the number of requests tried so far.
    """
    trials = opened = 0
    notes: list[str] = []
    with RawClient(app) as client:
        for request, headers, holds in _trials(app, engine):
            answer = client.send(request[0], request[1].encode(), headers)
            trials += 1
            if not holds(answer):
                opened += 1
                if len(notes) < _MOST_NOTES:
                    notes.append(f"{request[0]} {request[1]} answered {answer.status} to {headers or 'nobody'}")
            told(trials)
    return MatrixFindings(trials, opened, notes)


_Holds = Callable[[Answer], bool]
_Trial = tuple[tuple[str, str], Headers, _Holds]


def _trials(app: Litestar, engine: Engine) -> Iterator[_Trial]:
    routes = routes_of(app)
    keys = {scopes: add_key(engine, f"matrix {number}", scopes) for number, scopes in enumerate(subsets())}
    tokens = session(engine, new_secret())
    for method, path, access in routes:
        unknown = _let_in if access == OPEN else partial(turned_away, path)
        yield (method, path), tokens if access == OPEN else [], unknown
        yield (method, path), presented(engine, path, new_secret()), unknown
        for scopes, secret in keys.items():
            yield (method, path), presented(engine, path, secret), _expected(path, access, scopes)
        if access != OPEN:
            yield (method, path), _elsewhere(engine, path, keys[ALL]), partial(turned_away, path)
        for variant in variants(path) if access != OPEN else ():
            yield (method, variant), [], _nowhere
    known = {(method, path) for method, path, _ in routes}
    for path in {path for _, path, _ in routes}:
        for method in METHODS:
            if (method, path) not in known:
                for headers in ([], *(presented(engine, path, keys[scopes]) for scopes in (frozenset[Scope](), ALL))):
                    yield (method, path), headers, _nowhere


def _elsewhere(engine: Engine, path: str, secret: str) -> Headers:
    """A key as other routes ask for it, and this one does not."""
    return bearer(secret) if of_console(path) else session(engine, secret)


def _expected(path: str, access: Access, scopes: frozenset[Scope]) -> _Holds:
    if access == OPEN or access in scopes:
        return _let_in
    return partial(turned_away, path) if access == SIGNED else _forbidden


def _let_in(answer: Answer) -> bool:
    if answer.status == 303:
        return not answer.headers["location"].startswith(f"{SIGN_IN}?")
    return answer.status not in (401, 403) and answer.status < 500


def _forbidden(answer: Answer) -> bool:
    return answer.status == 403


def _nowhere(answer: Answer) -> bool:
    if answer.status == 303:
        return answer.headers["location"].startswith(f"{SIGN_IN}?")
    return answer.status in (401, 403, 404, 405)


def variants(path: str) -> list[str]:
    """Other ways of writing a path, some of which servers and proxies take for the same."""
    return [
        path + "/",
        path + "//",
        "/" + path,
        path + "?",
        path + "?access=open",
        path + ";open",
        path + "%00",
        path + "%20",
        path + "%0a",
        path + "/.",
        path + "/../" + path.rpartition("/")[2],
        "/./" + path[1:],
        "/health/live/.." + path,
        "/health/live/%2e%2e" + path,
        "/schema/.." + path,
        "/schema" + path,
        path.upper(),
        path.title(),
        "/" + "".join(f"%{ord(letter):02x}" for letter in path[1:]),
        path.replace("/", "%2f"),
        path.replace("/", "%252f"),
        path[:1] + f"%{ord(path[1]):02X}" + path[2:],
        path.replace("/", "\\"),
        path[1:],
        "http://test" + path,
        "*",
        "",
    ]
