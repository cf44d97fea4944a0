"""The pool's connections: whatever happens in a block, the next one gets a clean one, and errors in our words."""

from collections.abc import Iterator

import psycopg
import pytest

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.store.postgres.connection import Database


@pytest.fixture
def only_one(postgres_dsn: str) -> Iterator[Database]:
    database = Database(postgres_dsn, min_size=1, max_size=1)
    database.open()
    yield database
    database.close()


def test_a_statement_has_committed_when_its_block_ends(only_one: Database, postgres_dsn: str):
    with only_one.connection() as used:
        used.execute("CREATE TABLE left_behind (number int)")
    with psycopg.connect(postgres_dsn, autocommit=True) as another:
        another.execute("DROP TABLE left_behind")


def test_what_a_block_leaves_open_is_undone(only_one: Database):
    with only_one.connection() as used:
        used.execute("BEGIN")
        used.execute("CREATE TABLE left_open (number int)")
    with only_one.connection() as used:
        assert used.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        assert used.execute("SELECT to_regclass('left_open')").fetchone() == (None,)


def test_a_block_that_fails_gives_its_connection_back(only_one: Database):
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), only_one.connection():
            raise ZeroDivisionError
        with pytest.raises(InvalidInput, match="cannot keep"), only_one.connection() as used:
            used.execute("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.UndefinedTable), only_one.connection() as used:
            used.execute("SELECT FROM nothing")
    with only_one.connection() as used:
        assert used.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_that_broke_is_unavailable_once(only_one: Database):
    with pytest.raises(Unavailable), only_one.connection() as used:
        used.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    with only_one.connection() as used:
        assert used.execute("SELECT 1").fetchone() == (1,)
