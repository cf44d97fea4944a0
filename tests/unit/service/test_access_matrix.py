"""Every route against every kind of key, generated from the application's own routes: a new route is in it at once."""

from collections.abc import Callable

import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

import cxi_bandit.service.app
from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import OPEN, SIGNED, Gatekeeper, UndeclaredRoute, declared_access, new_secret
from cxi_bandit.service.console.security import of_console
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.security.matrix import (
    ALL,
    OPEN_ROUTES,
    SIGNED_ROUTES,
    add_key,
    bearer,
    routes_of,
    session,
    subsets,
    try_every_route,
    turned_away,
)
from tests.security.raw import RawClient

Client = TestClient[Litestar]
NewKey = Callable[..., str]


def test_the_routes_that_ask_for_no_key_are_those_that_were_decided_on(app: Litestar) -> None:
    declared = declared_access(app)
    assert {(method, path) for method, path, access in declared if access == OPEN} == OPEN_ROUTES
    assert {(method, path) for method, path, access in declared if access == SIGNED} == SIGNED_ROUTES
    assert len(declared) > 10
    assert {access for _, _, access in declared} - {OPEN, SIGNED} <= ALL


def test_no_key_method_or_spelling_opens_what_it_must_not(app: Litestar, engine: Engine) -> None:
    found = try_every_route(app, engine)
    assert found.notes == []
    assert found.open == 0
    assert found.trials > 30 * len(routes_of(app))


def test_a_guard_that_lets_in_is_found_out(app: Litestar, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(self: Gatekeeper, scope: object) -> None: ...

    monkeypatch.setattr(Gatekeeper, "admit", sleep)
    assert try_every_route(app, engine).open > 100


@pytest.mark.parametrize("access", list(Scope))
def test_a_route_to_come_is_in_the_matrix_at_once(
    access: Scope,
    engine: Engine,
    settings: Settings,
    quiet: FilteringBoundLogger,
    shelf: SpoolShelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @post("/v1/policies/{name:str}/versions/{number:int}/approval", opt={"access": access})
    async def approve(name: FromPath[str], number: FromPath[int]) -> None: ...

    standing = cxi_bandit.service.app.health_routes
    monkeypatch.setattr(cxi_bandit.service.app, "health_routes", lambda *parts: [*standing(*parts), approve])
    app = create_app(engine, settings, quiet, Metrics(), shelf)
    with TestClient(app, raise_server_exceptions=False) as client:
        for scopes in subsets(0, 1, len(ALL) - 1, len(ALL)):
            secret = _key(engine, scopes)
            status = client.post("/v1/policies/x/versions/1/approval", headers=secret).status_code
            assert (status == 201) == (access in scopes), (scopes, status)
    assert ("POST", "/v1/policies/x/versions/1/approval", access) in routes_of(app)


def test_a_refusal_comes_before_anything_is_read(app: Litestar, new_key: NewKey) -> None:
    """An unlawful caller learns nothing of what exists, and its body is not even parsed."""
    with RawClient(app) as client:
        for headers, status, problem in (([], 401, b":unauthenticated"), (bearer(new_key()), 403, b":forbidden")):
            for method, path, access in routes_of(app):
                if access in ALL and not of_console(path):
                    answer = client.send(method, path.encode(), headers, b"{not json")
                    assert (answer.status, problem in answer.body) == (status, True), (method, path)


def test_a_body_that_breaks_off_is_the_callers_fault(app: Litestar, new_key: NewKey) -> None:
    headers = bearer(new_key(*Scope))
    with RawClient(app) as client:
        for path in (b"/v1/decisions", b"/v1/decisions/batch", b"/v1/rewards"):
            answer = client.send("POST", path, headers, b'{"surface"', broken_off=True)
            assert (answer.status, b"malformed-body" in answer.body) == (400, True), path


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
def test_no_other_header_stands_for_a_key(app: Litestar, new_key: NewKey, header: str) -> None:
    secret = new_key(*Scope)
    values = ("GET", "/health/live", "127.0.0.1", secret, f"Bearer {secret}", f"authorization={secret}")
    with RawClient(app) as client:
        for method, path, access in routes_of(app):
            for value in values if access != OPEN else ():
                assert turned_away(path, client.send(method, path.encode(), [(header.encode(), value.encode())]))


def test_the_first_of_several_keys_counts_whatever_follows(app: Litestar, new_key: NewKey) -> None:
    good, unknown = bearer(new_key(Scope.READ)), bearer(new_secret())
    with RawClient(app) as client:
        for headers, status in (([*good, *unknown], 200), ([*unknown, *good], 401)):
            assert client.send("GET", b"/v1/policies", headers).status == status


@pytest.mark.parametrize("opt", [{}, {"access": None}, {"access": "opened"}, {"access": True}, {"acess": "read"}])
def test_a_route_that_declares_no_access_keeps_the_service_from_starting(
    opt: dict[str, object],
    engine: Engine,
    settings: Settings,
    quiet: FilteringBoundLogger,
    shelf: SpoolShelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @get("/v1/forgotten", opt=opt)
    async def forgotten() -> None: ...

    standing = cxi_bandit.service.app.health_routes
    monkeypatch.setattr(cxi_bandit.service.app, "health_routes", lambda *parts: [*standing(*parts), forgotten])
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
    with RawClient(app) as client:
        for method, path, access in routes_of(app):
            answer = client.send(method, path.encode(), session(engine, "nobody") if of_console(path) else ())
            assert turned_away(path, answer) == (access == SIGNED), (method, path)


def _key(engine: Engine, scopes: frozenset[Scope]) -> dict[str, str]:
    name = "+".join(sorted(scopes)) or "none"
    return {"authorization": f"Bearer {add_key(engine, name, scopes)}"}
