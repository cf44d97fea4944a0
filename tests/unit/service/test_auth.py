from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from litestar import Litestar, get
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import OPEN, SIGNED, UndeclaredRoute, declared_access, new_secret, well_formed
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics

Client = TestClient[Litestar]
NewKey = Callable[..., str]

OPEN_ROUTES = {("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/schema")}


def path_of(template: str) -> str:
    return template.replace("{decision_id:str}", "x").replace("{name:str}", "x").replace("{source:str}", "x")


def test_every_route_refuses_without_a_key_unless_it_is_one_of_three(app: Litestar, anyone: Client) -> None:
    declared = declared_access(app)
    assert {(method, path) for method, path, access in declared if access == OPEN} == OPEN_ROUTES
    assert len(declared) > 10
    for method, template, access in declared:
        answer = anyone.request(method, path_of(template))
        assert (answer.status_code == 401) == (access != OPEN), (method, template)
        options = anyone.request("OPTIONS", path_of(template))
        assert options.status_code == 401, template


def test_each_scope_opens_its_own_routes_only(app: Litestar, anyone: Client, new_key: NewKey) -> None:
    secrets = {scope: new_key(scope, name=scope.value) for scope in Scope}
    for (method, template, access), scope in product(declared_access(app), Scope):
        headers = {"authorization": f"Bearer {secrets[scope]}"}
        answer = anyone.request(method, path_of(template), headers=headers)
        if access == SIGNED:
            assert answer.status_code == 401, template
        elif access in (OPEN, scope):
            assert answer.status_code not in (401, 403), (method, template, scope)
        else:
            assert answer.status_code == 403, (method, template, scope)
            assert answer.json()["type"] == "urn:cxi-bandit:problem:forbidden"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic Zm9v", "Bearer cxi_short", f"Bearer {new_secret()}", "Bearer cxi_" + "é" * 49],
)
def test_what_is_no_key_of_ours_is_refused(client: Client, header: str) -> None:
    answer = client.get("/v1/policies", headers={b"authorization": header.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_mistyped_key_is_known_by_its_checksum() -> None:
    secret = new_secret()
    assert well_formed(secret)
    assert len(secret) == len("cxi_") + 43 + 6
    for index in range(4, len(secret)):
        other = "a" if secret[index] != "a" else "b"
        assert not well_formed(secret[:index] + other + secret[index + 1 :])


def test_a_revoked_key_is_refused(engine: Engine, anyone: Client, new_key: NewKey) -> None:
    headers = {"authorization": f"Bearer {new_key(Scope.READ, name='r')}"}
    assert anyone.get("/v1/policies", headers=headers).status_code == 200
    engine.store.access.revoke_key("r", datetime.now(UTC), "test")
    assert anyone.get("/v1/policies", headers=headers).status_code == 401


def test_a_route_without_declared_access_cannot_exist() -> None:
    @get("/v1/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(UndeclaredRoute, match="/v1/forgotten"):
        declared_access(Litestar([forgotten], openapi_config=None))


class AwayAccess:
    """Access whose database can be taken away."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self.away = False

    def key(self, digest: bytes) -> ApiKey | None:
        if self.away:
            raise Unavailable("the database")
        key: ApiKey | None = self._inner.key(digest)  # type: ignore[attr-defined]
        return key


def test_a_known_key_is_trusted_while_the_database_is_away(
    engine: Engine, settings: Settings, quiet: FilteringBoundLogger, new_key: NewKey, shelf: SpoolShelf
) -> None:
    secret, other = new_key(Scope.READ, name="a"), new_key(Scope.READ, name="b")
    access = AwayAccess(engine.store.access)
    engine.store.access = access  # type: ignore[misc, assignment]
    with TestClient(create_app(replace(engine), settings, quiet, Metrics(), shelf)) as client:
        known = {"authorization": f"Bearer {secret}"}
        assert client.get("/v1/policies", headers=known).status_code == 200
        access.away = True
        assert client.get("/v1/policies", headers=known).status_code == 200
        answer = client.get("/v1/policies", headers={"authorization": f"Bearer {other}"})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


def test_development_mode_asks_for_no_key_and_stays_on_the_loopback(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf
) -> None:
    with TestClient(create_app(engine, Settings(dev=True), quiet, Metrics(), shelf)) as client:
        assert client.get("/v1/policies").status_code == 200
    with pytest.raises(InvalidInput, match="loopback"):
        Settings(dev=True, host="0.0.0.0")  # noqa: S104 - that is the point
