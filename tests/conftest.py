"""One PostgreSQL for the whole run, migrated once; each test that asks gets a database of its own."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from xdist.remote import Producer

from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import upgrade
from cxi_bandit.store.server.embedded import EmbeddedPostgres
from cxi_bandit.store.spool import SpoolShelf
from tests.harness.clusters import BRITTLE, lay_cluster
from tests.harness.leftovers import directory_of_this_run, watch_over_this_process
from tests.harness.schedule import WholeFiles, turn

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Keeps pytest-alembic from collecting tests of its own here: tests/migration names those it wants.

    No example of hypothesis is held to a time, which on a busy machine says nothing about the code. And one watcher for
    all processes of the run: what they start bears the mark of the first.
    """
    config.option.pytest_alembic_tests_path = "tests/migration/none"
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")
    if not hasattr(config, "workerinput"):
        watch_over_this_process()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WholeFiles:
    return WholeFiles(config, log)


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[Path]:
    """Where servers keep their data. Not pytest's own: every run closes that to the user a server is run as by root."""
    with directory_of_this_run() as directory:
        yield directory


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> SpoolShelf:
    """Where applications made in a test take a spool each."""
    return SpoolShelf(tmp_path_factory.mktemp("spool"), 1 << 20)


@pytest.fixture(scope="session")
def postgres_server(servers_directory: Path) -> Iterator[str]:
    """A server's DSN: `DATABASE_URL` where set, else an embedded one. It need not outlive a crash, so no fsync."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    lay_cluster(servers_directory / "shared")
    server = EmbeddedPostgres(servers_directory / "shared", BRITTLE)
    yield server.start()
    server.stop(immediate=True)


@pytest.fixture(scope="session")
def _template(postgres_server: str) -> Iterator[str]:
    name = f"template_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        # The `postgres` of our own server is migrated already; another's is not ours to look at.
        migrated = SQL("" if "DATABASE_URL" in os.environ else "TEMPLATE postgres STRATEGY FILE_COPY")
        connection.execute(SQL("CREATE DATABASE {} {}").format(Identifier(name), migrated))
        upgrade(make_conninfo(postgres_server, dbname=name))
        yield name
        connection.execute(SQL("DROP DATABASE {}").format(Identifier(name)))


@pytest.fixture
def postgres_dsn(postgres_server: str, _template: str) -> Iterator[str]:
    """A fresh, migrated database."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        # FILE_COPY is the faster strategy without fsync: no WAL is written for the copy.
        copy = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        connection.execute(copy.format(Identifier(name), Identifier(_template)))
        yield make_conninfo(postgres_server, dbname=name)
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def empty_dsn(postgres_server: str) -> Iterator[str]:
    """A fresh database without any schema."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        name = f"empty_{os.getpid()}_{next(_numbers)}"
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        yield make_conninfo(postgres_server, dbname=name)
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def postgres_store(postgres_dsn: str) -> Iterator[PostgresStore]:
    """All ports over a fresh database."""
    store = PostgresStore.open(postgres_dsn)
    yield store
    store.close()
