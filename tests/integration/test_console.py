"""The console's pages over PostgreSQL: found, laid open, mended, and the shopper's key in none of what was written."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import structlog
from litestar.testing import TestClient
from psycopg.sql import SQL, Identifier

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.identifiers import DecisionId, Source
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.erase import erase
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import digest, new_secret
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.request_lines import RequestLines
from tests.harness.browser import Browser, Page

MANIFEST = Path(__file__).parents[2] / "policies" / "detail-page.toml"
SHOPPER = "shopper-7711-of-the-shop"
SEARCH, QUARANTINE = "/console/decisions", "/console/quarantine"


@pytest.fixture
def engine(postgres_store: PostgresStore) -> Engine:
    install(postgres_store.registry, [(MANIFEST.name, MANIFEST.read_text())], datetime.now(UTC), "test")
    made = build_engine(postgres_store)
    made.serving.refresh()
    return made


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def reader(engine: Engine, shelf: SpoolShelf, written: io.StringIO) -> Iterator[Browser]:
    secret = new_secret()
    key = ApiKey(name="anna", scopes=frozenset(Scope), source=Source("shop"), created_at=engine.clock())
    engine.store.access.add_key(key, digest(secret), "test")
    log = structlog.wrap_logger(structlog.PrintLogger(written), wrapper_class=structlog.make_filtering_bound_logger(0))
    lines = RequestLines("worker", "debug", written)
    app = create_app(engine, Settings(), log, Metrics(), shelf, lines=lines)
    with TestClient(app, raise_server_exceptions=False) as client:
        browser = Browser(client)
        assert browser.sign_in(secret).status == 200
        client.headers["authorization"] = f"Bearer {secret}"
        yield browser


def decided(reader: Browser, subject: str | None = SHOPPER) -> str:
    asked = {"surface": "detail_page", "defect": {"type": "price_jump", "severity": 0.8, "confidence": 0.9}}
    return str(reader.client.post("/v1/decisions", json={**asked, "subject": subject}).json()["decision_id"])


def listed(page: Page) -> list[str]:
    assert (page.status, page.faults) == (200, [])
    links = [str(link.attributes["href"]) for link in page.root.all("a")]
    return [link.rpartition("/")[2] for link in links if link.startswith(f"{SEARCH}/")]


def test_a_shopper_is_found_and_nothing_that_was_written_names_the_shopper(
    reader: Browser, engine: Engine, written: io.StringIO, postgres_dsn: str
) -> None:
    mine = [decided(reader), decided(reader)]
    decided(reader, "somebody else")
    decided(reader, None)
    page = reader.send(reader.open(SEARCH), SEARCH, shopper=SHOPPER)
    assert listed(page) == mine[::-1]
    assert listed(reader.send(page, SEARCH, since="2999-01-01T00:00")) == []
    one = reader.open(f"{SEARCH}/{mine[0]}")
    assert (one.status, one.faults, "executed again: identical" in one.text) == (200, [], True)
    with psycopg.connect(postgres_dsn) as connection:
        tables = connection.execute("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384")
        everything = "".join(
            str(connection.execute(SQL("SELECT t::text FROM {} t").format(Identifier(table))).fetchall())
            for (table,) in tables.fetchall()
        )
    assert "POST" in written.getvalue()
    assert mine[0] in everything
    for kept in (everything, written.getvalue(), *(str(answer.url) for answer in page.response.history)):
        assert SHOPPER not in kept
    erase(
        pseudonym(engine.subject_key, SHOPPER),
        engine.clock() + timedelta(seconds=1),
        engine.store.decisions,
        engine.store.outcomes,
        engine.store.privacy,
    )
    assert listed(reader.send(reader.open(SEARCH), SEARCH, shopper=SHOPPER)) == []
    assert reader.open(f"{SEARCH}/{mine[0]}").status == 404


def test_a_quarantined_reward_is_released_and_learned_by_a_rebuild(reader: Browser, engine: Engine) -> None:
    name = decided(reader)
    at = engine.clock().isoformat()
    odd = {"decision_id": name, "reward_id": "<b>odd</b>", "metric": "purchase", "value": 7.0, "occurred_at": at}
    assert reader.client.post("/v1/rewards", json=odd).json()["results"][0]["status"] == "quarantined"
    join(engine.store.outcomes, engine.manifests, engine.clock() + timedelta(days=1), timedelta(0))
    page = reader.open(QUARANTINE)
    assert listed(page) == [name]
    (box,) = page.root.all("input", type="checkbox")
    asked = reader.open(f"{QUARANTINE}/amend?verb=release&number={box.attributes['value']}")
    done = reader.send(asked, f"{QUARANTINE}/amend", value="0.5", reason="a till that counts in halves")
    assert (done.status, done.faults, done.root.all("b")) == (200, [], [])
    assert "<b>odd</b> of shop counts as 0.5" in done.text
    assert engine.store.outcomes.revisions(DecisionId(UUID(name)))[-1].settlement.counted == 1
    assert [request.reason for request in engine.store.rebuilds.waiting()] == ["quarantine release by anna"]
    line = engine.store.registry.trail()[-1]
    assert (line.actor, line.action, line.detail["reason"]) == (
        "anna",
        "quarantine release",
        "a till that counts in halves",
    )
    assert listed(reader.open(QUARANTINE)) == []
    engine.store.decisions.abandon([DecisionId(UUID(name))])
    assert listed(reader.open(f"{QUARANTINE}/decisions")) == [name]
