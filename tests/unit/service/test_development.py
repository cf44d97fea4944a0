"""Development mode: this machine's own callers are answered, and no page that its browser has open."""

from collections.abc import Callable, Iterator

import pytest
from litestar import Litestar
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import SIGNED
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.security.matrix import bearer, routes_of
from tests.security.raw import Headers, RawClient

PORT = b"localhost:8000"
FOREIGN_NAMES = [
    b"evil.example",
    b"evil.example:8000",
    b"127.0.0.1.evil.example",
    b"localhost.evil.example:8000",
    b"localhost.",
    b"[::2]",
    b"0.0.0.0",
    b"127.0.0.1:8000:8000",
    b"localhost:x",
    b"",
]
FOREIGN_ORIGINS = [
    b"https://evil.example",
    b"http://localhost:3000",
    b"http://localhost",
    b"http://localhost:8000.evil.example",
    b"http://127.0.0.1:8000",
    b"chrome-extension://abcdefgh",
    b"file://",
    b"null",
    b"localhost:8000",
    b"",
]
HALT = b'{"reason": "a page elsewhere says so"}'


@pytest.fixture
def app(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> Litestar:
    return create_app(engine, Settings(dev=True), quiet, Metrics(), shelf)


@pytest.fixture
def client(app: Litestar) -> Iterator[RawClient]:
    with RawClient(app) as client:
        yield client


def named(host: bytes, *headers: tuple[bytes, bytes]) -> Headers:
    return [(b"host", host), *headers]


@pytest.mark.parametrize("host", [b"127.0.0.1", b"localhost", b"LOCALHOST:1", b"[::1]", b"[::1]:8000"])
def test_this_machine_is_answered_with_no_key(client: RawClient, host: bytes) -> None:
    assert client.send("GET", b"/v1/policies", named(host)).status == 200
    own = (b"origin", b"http://" + host)
    assert client.send("GET", b"/v1/policies", named(host, own)).status == 200


@pytest.mark.parametrize("host", FOREIGN_NAMES)
def test_a_name_that_only_leads_here_opens_nothing(app: Litestar, client: RawClient, host: bytes) -> None:
    """A page may let its own name lead to the loopback address: its scripts could read every answer."""
    for method, path, access in routes_of(app):
        if access != SIGNED:
            answer = client.send(method, path.encode(), named(host))
            assert answer.status in (400, 403), (method, path)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_elsewhere_changes_nothing(client: RawClient, engine: Engine, origin: bytes) -> None:
    """No preflight asks first where a page sends plain text, and the service reads JSON whatever it is called."""
    for path in (b"/v1/halt", b"/v1/policies/detail-page/overrides", b"/v1/decisions", b"/v1/decisions?dry_run=false"):
        sent = named(PORT, (b"origin", origin), (b"content-type", b"text/plain"), (b"content-length", b"38"))
        answer = client.send("POST", path, sent, HALT)
        assert (answer.status, b"nothing was done" in answer.body) == (403, True)
    assert engine.store.releases.overrides() == []


def test_every_route_refuses_a_page_elsewhere(app: Litestar, client: RawClient) -> None:
    sent = named(PORT, (b"origin", b"https://evil.example"))
    for method, path, access in routes_of(app):
        if access != SIGNED:
            assert client.send(method, path.encode(), sent).status == 403, (method, path)


def test_a_sender_of_webhooks_speaks_for_itself_by_whatever_name_it_came(client: RawClient) -> None:
    """A tunnel has a name of its own. What passes here is held against the signature, in development mode as ever."""
    answer = client.send("POST", b"/v1/webhooks/rewards/mailer", named(b"tunnel.example"), b"{}")
    assert answer.status == 401


def test_a_service_with_keys_is_asked_by_any_name_and_from_any_page(
    engine: Engine, new_key: Callable[..., str], quiet: FilteringBoundLogger, shelf: SpoolShelf
) -> None:
    with RawClient(create_app(engine, Settings(), quiet, Metrics(), shelf)) as client:
        sent = named(b"shop.example", (b"origin", b"https://evil.example"))
        for key, status in ((new_key(Scope.READ), 200), ("", 401)):
            assert client.send("GET", b"/v1/policies", [*sent, *bearer(key)]).status == status
