"""The ground that proofs stand on: directories, databases that survive a crash, services; all ended with it."""

import itertools
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

from cxi_bandit.bootstrap.upkeep import keep_up
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.server.embedded import EmbeddedPostgres
from tests.harness.clusters import BRITTLE, lay_cluster
from tests.harness.service import MANIFEST, Service


class Ground:
    """Makes what a proof needs and ends all of it, latest first, when the block ends.

    Args:
        directory: The ground's own; below /tmp, as a server run by root must be able to reach it as another user.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def part(self) -> "Ground":
        """A ground of its own for one proof."""
        return Ground(self.place())

    def at_end(self, call: Callable[[], object]) -> None:
        """Something else that must not outlive the proof."""
        self._ending.callback(call)

    def place(self) -> Path:
        """A new, empty directory."""
        place = self._directory / str(next(self._numbers))
        place.mkdir(parents=True)
        return place

    def database(self, settings: Mapping[str, str] | None = None) -> tuple[EmbeddedPostgres, str]:
        """A running, migrated server of the proof's own, durable unless told otherwise, and its DSN."""
        cluster = self.place() / "database"
        lay_cluster(cluster)
        server = EmbeddedPostgres(cluster, settings)
        dsn = server.start()
        self.at_end(lambda: server.stop(immediate=True))
        return server, dsn

    def store(self, settings: Mapping[str, str] | None = None, *, connections: int = 8) -> tuple[PostgresStore, str]:
        """All ports over a database of the proof's own, kept up as a service would, and its DSN."""
        _, dsn = self.database(settings)
        store = PostgresStore.open(dsn, max_connections=connections)
        self.at_end(store.close)
        keep_up(store, datetime.now(UTC))
        return store, dsn

    def stores(self) -> Callable[[], PostgresStore]:
        """Makes one empty store after the other, on one server; the one before is dropped."""
        _, dsn = self.database(BRITTLE)
        names = (f"store_{number}" for number in itertools.count(1))
        opened: list[tuple[str, PostgresStore]] = []

        def drop() -> None:
            while opened:
                name, store = opened.pop()
                store.close()
                rows(maintenance, f"DROP DATABASE {name} WITH (FORCE)")

        def make() -> PostgresStore:
            drop()
            name = next(names)
            # The migrated database is its own server's `postgres`; nobody is connected to it.
            rows(maintenance, f"CREATE DATABASE {name} TEMPLATE postgres STRATEGY FILE_COPY")
            opened.append((name, PostgresStore.open(make_conninfo(dsn, dbname=name), max_connections=2)))
            return opened[-1][1]

        maintenance = make_conninfo(dsn, dbname="template1")
        self.at_end(drop)
        return make

    def service(
        self,
        *,
        workers: int = 1,
        database_url: str | None = None,
        data_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        manifest: str = MANIFEST,
        ready: bool = True,
    ) -> Service:
        """A service without keys; it owns an embedded database unless it is given the address of another."""
        beside = self.place()
        data_dir = data_dir or beside / "data"
        data_dir.mkdir(exist_ok=True)
        given = dict(settings or {})
        if database_url is None:
            lay_cluster(data_dir / "database")
        else:
            given["DATABASE_URL"] = database_url
        service = Service(data_dir, workers, "--dev", settings=given, manifest=manifest, beside=beside)
        self.at_end(service.close)
        if ready:
            service.await_ready()
        return service


def rows(dsn: str, query: str, *values: object) -> list[tuple]:
    """What a database says, asked over a connection of its own."""
    with psycopg.connect(dsn, connect_timeout=5, autocommit=True) as connection:
        found = connection.execute(query, values)  # type: ignore[arg-type]  # a proof's own words
        return found.fetchall() if found.description else []
