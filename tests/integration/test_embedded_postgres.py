"""The embedded server with fsync on: what was committed outlives every way of dying, and it comes back by itself."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import upgrade
from cxi_bandit.store.server.embedded import EmbeddedPostgres

_RECOVERY_SECONDS = 10.0


def _rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def _keep(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="another server is under test")
def test_a_killed_server_comes_back_with_everything_committed(servers_directory: Path) -> None:
    directory = servers_directory / "killed"
    server = EmbeddedPostgres(directory)
    dsn = server.start()
    try:
        for kept in (1000, 2000):
            _keep(dsn)
            killed = server.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            began = time.monotonic()
            dsn = EmbeddedPostgres(directory).start()  # as a new supervisor would
            assert time.monotonic() - began < _RECOVERY_SECONDS
            assert _rows(dsn) == kept
        assert EmbeddedPostgres(directory).start() == dsn  # a server left running is taken over
        server.stop(immediate=True)
        assert server.pid is None
        # Its old pid is another process now: that one is let alone, and the server starts.
        (directory / "postmaster.pid").write_text(
            f"{os.getpid()}\n{directory}\n0\n5432\n{directory}\n\n0 0\nready   \n"
        )
        dsn = server.start()
        assert _rows(dsn) == 2000
        with psycopg.connect(dsn) as connection:
            shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]  # type: ignore[call-overload]
        assert shown == [("on",), ("on",)]
    finally:
        server.stop()
        server.stop()
    assert server.pid is None


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="another server is under test")
def test_a_store_finds_its_database_again(servers_directory: Path) -> None:
    server = EmbeddedPostgres(servers_directory / "stopped")
    dsn = server.start()
    upgrade(dsn)
    store = PostgresStore.open(dsn, wait=timedelta(seconds=0.2))
    try:
        key = store.keyring.draw_key()
        server.stop(immediate=True)
        away_until = time.monotonic() + 5.0
        while time.monotonic() < away_until:
            with pytest.raises(Unavailable):
                store.keyring.draw_key()
            time.sleep(0.1)
        server.start()
        back = time.monotonic()
        while True:
            try:
                assert store.keyring.draw_key() == key
                break
            except Unavailable:
                assert time.monotonic() - back < _RECOVERY_SECONDS
    finally:
        store.close()
        server.stop()


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="another server is under test")
def test_a_half_made_cluster_is_made_again(servers_directory: Path) -> None:
    half = servers_directory / "half.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(servers_directory / "half")
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
