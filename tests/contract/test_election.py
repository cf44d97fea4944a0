"""One of several learners works, and another one as soon as it does not."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.connection import conninfo
from cxi_bandit.store.postgres.election import Election
from cxi_bandit.store.server.embedded import EmbeddedPostgres
from tests.harness.ports import free_port
from tests.harness.service import until

CONNECTIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'cxi-bandit learner' ORDER BY backend_start"
LIVENESS = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")


@pytest.fixture
def elections(postgres_store: PostgresStore) -> Iterator[tuple[Election, Election]]:
    two = Election(postgres_store.database), Election(postgres_store.database)
    yield two
    for each in two:
        each.stand_down()


def test_one_is_elected_and_stays_so(elections: tuple[Election, Election]) -> None:
    one, other = elections
    for _ in range(3):
        assert one.won()
        assert not other.won()


def test_another_is_elected_when_the_one_stands_down(elections: tuple[Election, Election]) -> None:
    one, other = elections
    assert one.won()
    one.stand_down()
    assert other.won()
    assert not one.won()


def test_who_loses_its_connection_knows_before_its_next_turn(
    elections: tuple[Election, Election], postgres_dsn: str
) -> None:
    one, other = elections
    assert one.won()
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        [(pid,)] = connection.execute(CONNECTIONS).fetchall()
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert other.won()
    with pytest.raises(Unavailable):
        one.won()
    assert not one.won(), "it comes back, and stands by"


def test_one_that_stands_still_is_elected_no_more(
    elections: tuple[Election, Election], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = elections
    monkeypatch.setattr("cxi_bandit.store.postgres.election._PATIENCE", "SET idle_session_timeout = '20ms'")
    assert one.won()

    def replaced() -> bool:
        try:
            return other.won()
        except Unavailable:  # it was not asked for too long itself
            return False

    until(replaced, 20)


def test_a_server_soon_lets_go_of_what_a_vanished_machine_held(servers_directory: Path) -> None:
    port = str(free_port())
    server = EmbeddedPostgres(
        servers_directory / "over-tcp", {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off"}
    )
    try:
        dsn = make_conninfo(server.start(), host="127.0.0.1", port=port)
        with psycopg.connect(conninfo(dsn, "test", None)) as connection:
            seconds = [connection.execute(f"SHOW {name}").fetchone() for name in LIVENESS]
        assert seconds == [("5",), ("2",), ("3",), ("10000",)]
    finally:
        server.stop(immediate=True)
