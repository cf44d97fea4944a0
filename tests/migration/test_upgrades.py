"""Upgrades keep what every older schema held, and nobody notices them: the code of the first schema goes on writing."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

import psycopg
import pytest

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import DecisionId, DecisionIdMint, PolicyName
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.domain.tallies import Span, Stretches
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import revisions, upgrade
from tests.migration.first_statements import sequence, write

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOTICEABLE_SECONDS = 1.0
"""A lock is waited for a fifth of a second; the rest is for a busy machine."""


def test_what_each_schema_held_is_read_after_all_upgrades(empty_dsn: str) -> None:
    mint = DecisionIdMint()
    written: dict[str, DecisionId] = {}
    for number, revision in enumerate(revisions()):
        upgrade(empty_dsn, revision)
        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            written[revision] = mint.mint(NOW + timedelta(days=number))
            write(connection, written[revision], "cart", NOW + timedelta(days=number))
            sequence(connection)
    upgrade(empty_dsn)
    store = PostgresStore.open(empty_dsn)
    try:
        store.partitions.ensure(NOW.date())
        decisions = store.decisions.scan(PolicyName("cart"), None, 100)
        assert [decision.decision_id for decision in decisions] == list(written.values())
        for position, decision in enumerate(decisions, 1):
            assert (decision.propensity, decision.probabilities) == (0.75, (0.25, 0.75))
            (entry,) = store.ledger.history(decision.decision_id)
            assert (entry.event.value, entry.position) == (1.0, position)
            (revision,) = store.outcomes.revisions(decision.decision_id)
            assert (revision.position, revision.settlement.reward) == (position, 1.0)
        segment = store.outcomes.segment(PolicyName("cart"), 0, len(written), store.outcomes.ledger_cut())
        assert segment.rows == [
            TrainingRow(position=position, decision=decision, reward=1.0).lesson
            for position, decision in enumerate(decisions, 1)
        ]
        counted_in_the_background(store, len(written))
    finally:
        store.close()


def counted_in_the_background(store: PostgresStore, number: int) -> None:
    """What older schemas held is counted from the beginning, by the same pieces as what comes."""
    tallies, cart = store.tallies, PolicyName("cart")
    days = [Stretches(Span.DAY, NOW - timedelta(days=1))]
    assert tallies.by_arm([cart], days) == {cart: []}, "a migration counts nothing"
    with store.database.connection() as connection:
        connection.execute("INSERT INTO sequences (name, last_position) VALUES ('outcomes/cart', %s)", [number])
    while tallies.count_decided(NOW + timedelta(days=99), NOW, 2) + tallies.count_closed(cart, NOW, 2):
        pass
    found = tallies.by_arm([cart], days)[cart]
    assert [(tally.decided, tally.closed, tally.judged, tally.reward) for tally in found] == [(1, 1, 1, 1.0)] * number


class Writing:
    """The first schema's code, writing as fast as it can."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.written: list[UUID] = []
        self.longest_seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def wait_for_more(self) -> None:
        enough = len(self.written) + 20
        deadline = time.monotonic() + 30
        while len(self.written) < enough:
            assert self._thread.is_alive(), "its statements fail"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _write(self) -> None:
        mint = DecisionIdMint()
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stopping.is_set():
                name = mint.mint(datetime.now(UTC))
                started = time.monotonic()
                write(connection, name, "cart", datetime.now(UTC))
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - started)
                self.written.append(name)
                if len(self.written) % 20 == 0:
                    sequence(connection)


@contextmanager
def reading(dsn: str, *tables: str) -> Iterator[psycopg.Connection]:
    """Somebody who looks at tables for a long time, in one transaction."""
    with psycopg.connect(dsn) as connection:
        for table in tables:
            connection.execute(f"SELECT count(*) FROM {table}")  # type: ignore[call-overload]  # noqa: S608
        yield connection


def test_code_of_the_first_schema_goes_on_writing_while_all_migrations_run(empty_dsn: str) -> None:
    upgrade(empty_dsn, revisions()[0])
    with Writing(empty_dsn) as writing:
        with reading(empty_dsn, "decisions", "reward_ledger", "models", "imported_rounds"):
            upgrading = threading.Thread(target=upgrade, args=[empty_dsn])
            upgrading.start()
            time.sleep(1.5)
            assert upgrading.is_alive(), "it waits for its gap"
            writing.wait_for_more()
        upgrading.join(60)
        assert not upgrading.is_alive()
        writing.wait_for_more()
    assert writing.longest_seconds < NOTICEABLE_SECONDS
    with psycopg.connect(empty_dsn) as connection:
        counted = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[call-overload]  # noqa: S608
            for table in ("decisions", "reward_ledger", "activations", "idempotency_keys")
        ]
        assert counted == [(len(writing.written),)] * 4
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (revisions()[-1],)


def test_a_migration_that_finds_no_gap_gives_up_and_leaves_all_as_it_was(empty_dsn: str) -> None:
    upgrade(empty_dsn, revisions()[1])
    looking = reading(empty_dsn, "imported_logs", "imported_rounds")
    with looking, pytest.raises(Unavailable, match="long transaction"):
        upgrade(empty_dsn, patience=timedelta(seconds=0.5))
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (revisions()[1],)
    upgrade(empty_dsn)
