from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import new_secret, well_formed
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics

Client = TestClient[Litestar]
NewKey = Callable[..., str]


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", "Basic Zm9v", "Bearer cxi_short"),
        pytest.param(f"Bearer {new_secret()}", id="well formed"),
        "Bearer cxi_" + "é" * 49,
    ],
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
