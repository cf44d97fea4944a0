"""The service against its own schema: whatever the schema allows, and much that it does not, is never a 500."""

from typing import Any

import pytest
import structlog

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import declared_access
from cxi_bandit.service.console.security import of_console
from cxi_bandit.service.openapi import openapi
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.security.schema_cases import MANIFEST, SchemaFindings, run_schema_cases

MANIFESTS = [("quick.toml", MANIFEST)]


def hold(found: SchemaFindings, cases: int) -> None:
    assert found.cases == cases
    assert found.notes == []
    assert found.statuses.get(201, 0) + found.statuses.get(202, 0) > 0, "cases that all fail at the door prove nothing"
    assert found.statuses.get(422, 0) > 0, "nor do those that are all right"


def test_no_request_breaks_the_service(shelf: SpoolShelf) -> None:
    hold(run_schema_cases(in_memory_engine(MANIFESTS), shelf, 160, seed=1), 160)


def test_no_request_breaks_the_service_over_its_database(postgres_store: PostgresStore, shelf: SpoolShelf) -> None:
    hold(run_schema_cases(in_memory_engine(MANIFESTS, store=lambda: postgres_store), shelf, 60, seed=2), 60)


def test_a_service_that_breaks_is_found_out(monkeypatch: pytest.MonkeyPatch, shelf: SpoolShelf) -> None:
    engine = in_memory_engine(MANIFESTS)

    def broken(*_: object) -> Any:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(engine.store.registry, "versions", broken)
    found = run_schema_cases(engine, shelf, 40, seed=3)
    assert found.failures == found.statuses[500] > 0


@pytest.fixture
def engine() -> Engine:
    return in_memory_engine(MANIFESTS)


def test_the_schema_says_which_scope_each_route_needs(engine: Engine, shelf: SpoolShelf) -> None:
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    app = create_app(engine, Settings(), silent, Metrics(), shelf)
    document = openapi(app)
    assert "DecisionBody" in document["components"]["schemas"]
    assert not any(of_console(path) for path in document["paths"]), "pages for people are no contract"
    for method, path, access in declared_access(app):
        if of_console(path):
            continue
        operation = document["paths"][path][method.lower()]
        if isinstance(access, Scope):
            assert operation["security"] == [{"key": []}], path
            assert f"`{access.value}`" in operation["description"], path
        else:
            assert "security" not in operation, path
