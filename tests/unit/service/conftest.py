from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from litestar import Litestar
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import digest, new_secret
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.browser import Browser

MANIFEST = Path(__file__).parents[3] / "policies" / "detail-page.toml"


@pytest.fixture(scope="session")
def quiet() -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    return logger


@pytest.fixture
def engine() -> Engine:
    return in_memory_engine([(MANIFEST.name, MANIFEST.read_text())])


@pytest.fixture
def settings() -> Settings:
    return Settings(key_cache_seconds=0.0)


@pytest.fixture
def app(engine: Engine, settings: Settings, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> Litestar:
    return create_app(engine, settings, quiet, Metrics(), shelf)


@pytest.fixture
def anyone(app: Litestar) -> Iterator[TestClient[Litestar]]:
    """A client without a key."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def new_key(engine: Engine) -> Callable[..., str]:
    def make(*scopes: Scope, name: str = "shop", source: str = "shop") -> str:
        secret = new_secret()
        key = ApiKey(name=name, scopes=frozenset(scopes), source=Source(source), created_at=engine.clock())
        engine.store.access.add_key(key, digest(secret), "test")
        return secret

    return make


@pytest.fixture
def browser(anyone: TestClient[Litestar]) -> Browser:
    """A reader who has not signed in."""
    return Browser(anyone)


@pytest.fixture
def signed_in(browser: Browser, new_key: Callable[..., str]) -> Callable[..., Browser]:
    """A reader who signed in with a key of these scopes, and `read`."""

    def sign_in(*scopes: Scope, name: str = "anna") -> Browser:
        assert browser.sign_in(new_key(Scope.READ, *scopes, name=name)).status == 200
        return browser

    return sign_in


@pytest.fixture
def client(anyone: TestClient[Litestar], new_key: Callable[..., str]) -> TestClient[Litestar]:
    """A client whose key may do everything."""
    anyone.headers["authorization"] = f"Bearer {new_key(*Scope)}"
    return anyone
