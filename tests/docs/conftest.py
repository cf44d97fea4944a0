"""One database for the pages that suppose a log: two policies, a few days of shoppers, a warmed candidate of each."""

import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composed, Identifier

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.domain.identifiers import PolicyName, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.record import record
from cxi_bandit.engine.warm import warm
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import upgrade
from simulator.lifecycle import KEEN
from simulator.manifests import shipped_texts, with_value
from simulator.rehearsal.days import let_pass
from tests.harness.rehearsed import Rehearsed

SEARCH, DETAIL_PAGE = PolicyName("search"), PolicyName("detail-page")
A_DAY = 400

_copies = itertools.count(1)


@pytest.fixture(scope="session")
def rehearsed(postgres_server: str) -> Iterator[Rehearsed]:
    """Made once; nobody may change it."""
    name = f"rehearsed_{os.getpid()}"
    _execute(postgres_server, SQL("CREATE DATABASE {}").format(Identifier(name)))
    dsn = make_conninfo(postgres_server, dbname=name)
    upgrade(dsn)
    store = PostgresStore.open(dsn)
    try:
        found = _let_days_pass(store, name)
    finally:
        store.close()
    yield found
    _execute(postgres_server, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def rehearsed_dsn(rehearsed: Rehearsed, postgres_server: str) -> Iterator[str]:
    """A copy for one test to do with as it likes."""
    name = f"{rehearsed.name}_{next(_copies)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        copy = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        connection.execute(copy.format(Identifier(name), Identifier(rehearsed.name)))
        yield make_conninfo(postgres_server, dbname=name)
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _execute(server: str, statement: Composed) -> None:
    """Over a connection of its own: whoever copies a database must be alone with it."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)


def _let_days_pass(store: PostgresStore, name: str) -> Rehearsed:
    texts = {
        file: with_value(shipped_texts()[file], "updates", '"gated"') for file in ("search.toml", "detail-page.toml")
    }
    now = datetime.now(UTC)
    let_pass(store, texts, 2, A_DAY, KEEN, seed=1, now=now)
    changed = {file: with_value(text, "updates", '"continuous"') for file, text in texts.items()}
    let_pass(store, changed, 1, A_DAY, KEEN, seed=1, now=now)
    engine = build_engine(store)
    parts = (store.registry, store.outcomes, engine.manifests, engine.room)
    # Not detail-page: the page on settings warms it.
    (_, second) = store.registry.versions(SEARCH)
    (*_, model) = warm(second, now, *parts)
    (row,) = store.outcomes.scan(DETAIL_PAGE, 0, 1)
    decision = row.decision
    wild = RewardEvent(
        source=Source("shop"),
        reward_id=RewardId("order-9001"),
        decision_id=decision.decision_id,
        metric="margin",
        value=1e6,
        occurred_at=decision.decided_at + timedelta(seconds=1),
    )
    (receipt,) = record([wild], now, store.decisions, store.ledger, engine.manifests)
    assert receipt.status == "quarantined"
    as_of = f"{store.outcomes.head(SEARCH)},{store.outcomes.ledger_cut()}"
    return Rehearsed(name, model.lineage.version, str(decision.decision_id), as_of)
