"""Every route against every kind of key, generated from the application's own routes: a new route is in it at once."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations, product

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

import cxi_bandit.service.app
from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import OPEN, SIGNED, Access, UndeclaredRoute, declared_access, new_secret
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.security.raw import RawClient

Client = TestClient[Litestar]
NewKey = Callable[..., str]

OPEN_ROUTES = {("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/schema")}
"""Who may be asked by anybody. Adding to it is a decision; nothing else opens a route."""
SIGNED_ROUTES = {("POST", "/v1/webhooks/rewards/{source:str}")}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X")
ALL = frozenset(Scope)
SUBSETS = [frozenset(chosen) for size in (0, 1, len(ALL) - 1) for chosen in combinations(sorted(ALL), size)]
SAMPLES = {"str": "x", "int": "1", "float": "1.5", "uuid": "00000000-0000-7000-8000-000000000000", "path": "x/y"}
PARAMETER = re.compile(r"\{\w+:(?P<kind>\w+)\}")


def path_of(template: str) -> str:
    return PARAMETER.sub(lambda match: SAMPLES[match["kind"]], template)


def routes_of(app: Litestar) -> list[tuple[str, str, Access]]:
    """The declared routes by their paths with the parameters' types, so that a path can be made for each."""
    paths = {route.path_format: route.path for route in app.routes if isinstance(route, HTTPRoute)}
    return [(method, paths[path], access) for method, path, access in declared_access(app)]


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_the_routes_that_ask_for_no_key_are_those_that_were_decided_on(app: Litestar) -> None:
    declared = routes_of(app)
    assert {(method, path) for method, path, access in declared if access == OPEN} == OPEN_ROUTES
    assert {(method, path) for method, path, access in declared if access == SIGNED} == SIGNED_ROUTES
    assert len(declared) > 10
    guarded = {access for _, _, access in declared} - {OPEN, SIGNED}
    assert guarded <= ALL


@pytest.mark.parametrize("scopes", SUBSETS, ids=lambda scopes: "+".join(sorted(scopes)) or "none")
def test_a_key_opens_exactly_the_routes_of_its_scopes(
    app: Litestar, anyone: Client, new_key: NewKey, scopes: frozenset[Scope]
) -> None:
    headers = bearer(new_key(*scopes))
    for method, template, access in routes_of(app):
        where = (method, template)
        alone = anyone.request(method, path_of(template))
        keyed = anyone.request(method, path_of(template), headers=headers)
        if access == OPEN:
            assert alone.status_code not in (401, 403), where
            assert keyed.status_code not in (401, 403), where
            continue
        assert alone.status_code == 401, where
        assert alone.json()["type"].endswith(":unauthenticated"), where
        if access == SIGNED:
            assert keyed.status_code == 401, f"{where}: no key stands for a signature"
        elif access in scopes:
            assert keyed.status_code not in (401, 403), where
        else:
            assert keyed.status_code == 403, where
            assert keyed.json()["type"].endswith(":forbidden"), where


def test_a_refusal_comes_before_anything_is_read(app: Litestar, anyone: Client, new_key: NewKey) -> None:
    """An unlawful caller learns nothing of what exists, and its body is not even parsed."""
    wrong = bearer(new_key())
    for method, template, access in routes_of(app):
        if access in ALL:
            for headers, status in (({}, 401), (wrong, 403)):
                answer = anyone.request(method, path_of(template), headers=headers, content=b"{not json")
                assert answer.status_code == status, (method, template)


def variants(path: str) -> list[str]:
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


def test_no_other_way_of_writing_a_path_opens_it(app: Litestar) -> None:
    """Without a key, a variant is either no route of ours or refused like the route itself: never answered."""
    written = Counter[int]()
    with RawClient(app) as client:
        for method, template, access in routes_of(app):
            for variant in variants(path_of(template)) if access != OPEN else ():
                status = client.send(method, variant.encode()).status
                assert status in (401, 404, 405), (method, variant, status)
                written[status] += 1
    assert written[401] > 40, "many of them are the route itself"


def test_a_body_that_breaks_off_is_the_callers_fault(app: Litestar, new_key: NewKey) -> None:
    headers = [(b"authorization", f"Bearer {new_key(*Scope)}".encode())]
    with RawClient(app) as client:
        for path in (b"/v1/decisions", b"/v1/decisions/batch", b"/v1/rewards"):
            answer = client.send("POST", path, headers, b'{"surface"', broken_off=True)
            assert (answer.status, b"malformed-body" in answer.body) == (400, True), path


def test_no_other_method_opens_a_path(app: Litestar, anyone: Client, new_key: NewKey) -> None:
    routes = routes_of(app)
    known = {(method, template) for method, template, _ in routes}
    everything, nothing = bearer(new_key(*Scope, name="all")), bearer(new_key(name="none"))
    for template, method in product({template for _, template, _ in routes}, METHODS):
        if (method.upper(), template) in known:
            continue
        for headers in ({}, nothing, everything):
            status = anyone.request(method, path_of(template), headers=headers).status_code
            refused = (401, 403) if method == "OPTIONS" else (401, 403, 404, 405)
            assert status in refused, (method, template, status)


@pytest.mark.parametrize(
    "header",
    [
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-For",
        "X-Forwarded-Prefix",
        "Forwarded",
        "Cookie",
        "X-API-Key",
        "Proxy-Authorization",
    ],
)
def test_no_other_header_stands_for_a_key(app: Litestar, anyone: Client, new_key: NewKey, header: str) -> None:
    secret = new_key(*Scope)
    values = ("GET", "/health/live", "127.0.0.1", secret, f"Bearer {secret}", f"authorization={secret}")
    for method, template, access in routes_of(app):
        if access != OPEN:
            for value in values:
                assert anyone.request(method, path_of(template), headers={header: value}).status_code == 401


def test_the_first_of_several_keys_counts_whatever_follows(app: Litestar, new_key: NewKey) -> None:
    good, unknown = f"Bearer {new_key(Scope.READ)}".encode(), f"Bearer {new_secret()}".encode()
    with RawClient(app) as client:
        for first, second, status in ((good, unknown, 200), (unknown, good, 401)):
            headers = [(b"Authorization", first), (b"authorization", second)]
            assert client.send("GET", b"/v1/policies", headers).status == status


def test_a_route_that_declares_no_access_keeps_the_service_from_starting(
    engine: Engine, settings: Settings, quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch, shelf: SpoolShelf
) -> None:
    standing = cxi_bandit.service.app.health_routes

    for opt in ({}, {"access": None}, {"access": "opened"}, {"access": True}):

        @get("/v1/forgotten", opt=opt)
        async def forgotten() -> None: ...

        monkeypatch.setattr(
            cxi_bandit.service.app, "health_routes", lambda *parts, made=forgotten: [*standing(*parts), made]
        )
        with pytest.raises(UndeclaredRoute, match="/v1/forgotten"):
            create_app(engine, settings, quiet, Metrics(), shelf)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.1", "example.org", "127.0.0.1.example.org"])  # noqa: S104 - that is the point
def test_development_mode_binds_to_the_loopback_only(host: str) -> None:
    with pytest.raises(InvalidInput, match="loopback"):
        Settings(dev=True, host=host)
    assert Settings(dev=False, host=host).host == host


def test_development_mode_opens_everything_but_what_is_signed(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf
) -> None:
    app = create_app(engine, Settings(dev=True), quiet, Metrics(), shelf)
    with TestClient(app, raise_server_exceptions=False) as client:
        for method, template, access in routes_of(app):
            status = client.request(method, path_of(template)).status_code
            assert (status == 401) == (access == SIGNED), (method, template)
