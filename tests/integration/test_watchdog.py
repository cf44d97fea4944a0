"""A database that falls silent behind a connection that lives: whoever waits for it goes on within the bound."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.store.postgres import connection
from cxi_bandit.store.postgres.connection import Database
from tests.harness.link import Link


@pytest.fixture
def link(postgres_dsn: str) -> Iterator[Link]:
    with Link(postgres_dsn) as link:
        yield link


@pytest.fixture
def database(link: Link, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(connection, "_GRACE", timedelta(seconds=0.5) - connection.SHORT)
    database = Database(link.dsn, min_size=2)
    database.open()
    yield database
    database.close()


def ask(database: Database) -> object:
    with database.connection() as used:
        return used.execute("SELECT 1").fetchone()


def test_a_half_open_connection_is_hung_up_on_and_the_idle_ones_beside_it_are_replaced(link: Link, database: Database):
    assert ask(database) == (1,)
    link.silence()
    started = time.monotonic()
    with pytest.raises(Unavailable):
        ask(database)
    assert 0.5 < time.monotonic() - started < 5
    link.heal(forget=True)
    assert ask(database) == (1,)
    assert ask(database) == (1,)


def test_a_writer_s_lock_that_is_never_answered_is_given_up(link: Link, database: Database):
    held = database.dedicated("test")
    link.silence()
    with pytest.raises(Unavailable), database.watched(held):
        held.execute("SELECT 1")
    link.heal(forget=True)
    held.close()


def test_one_that_has_closed_by_itself_does_not_end_the_watching(link: Link, database: Database):
    gone = database.dedicated("test")
    gone.close()
    database.watch(gone)
    link.silence()
    with pytest.raises(Unavailable):
        ask(database)


def test_a_connection_that_was_given_back_in_time_is_left_alone(database: Database):
    for _ in range(8):
        with database.connection() as used:
            assert used.execute("SELECT pg_sleep(0.1)").fetchone() is not None
            time.sleep(0.05)
    assert ask(database) == (1,)
