"""Where the database is: the one that is named, or the embedded one, running already or started for the occasion."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cxi_bandit.bootstrap.data_dir import Taken, owned
from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import check, upgrade
from cxi_bandit.store.server.embedded import EmbeddedPostgres


class RunningDatabase:
    """A database that runs for as long as its owner does. Made by `running_database` only."""

    def __init__(self, dsn: str, server: EmbeddedPostgres | None) -> None:
        self.dsn = dsn
        self._server = server

    def keep_running(self) -> bool:
        """Starts the embedded server again should it have died; whether it had.

        Raises:
            Unavailable: It does not come up.
        """
        if self._server is None or self._server.pid is not None:
            return False
        self._server.start()
        return True


@contextmanager
def running_database(settings: Settings) -> Iterator[RunningDatabase]:
    """The named database, or the embedded one, started and in the end stopped by the data directory's owner.

    Raises:
        Unavailable: The embedded server does not start.
    """
    if settings.database_url is not None:
        yield RunningDatabase(settings.database_url, None)
        return
    server = EmbeddedPostgres(settings.database_dir)
    try:
        dsn = server.start()
        _note(settings, dsn)
        yield RunningDatabase(dsn, server)
    finally:
        settings.dsn_file.unlink(missing_ok=True)
        server.stop()


def _note(settings: Settings, dsn: str) -> None:
    """For other commands of the same user: whoever reads it may do anything with the database."""
    settings.dsn_file.touch(0o600)
    settings.dsn_file.write_text(dsn, "utf-8")


@contextmanager
def reached(settings: Settings, making: Callable[[Path], object] | None = None) -> Iterator[tuple[str, bool]]:
    """The database for a command: beside a running service, or alone, with the embedded one started for it.

    Args:
        making: Hears that a new database is made in that directory. None: none is made; a directory that was misspelt
            must not look like one in which nothing has happened yet.

    Yields:
        Its DSN, and whether a running service has it, hence keeps its schema.

    Raises:
        InvalidInput: There is no database in the data directory, and none is to be made.
        Unavailable: The embedded database does not start, or a service is just starting on it.
    """
    if settings.database_url is not None:
        yield settings.database_url, False
        return
    if making is None and not _holds_data(settings) and not (settings.data_dir / "lock").exists():
        raise _no_data(settings)
    with ExitStack() as stack:
        try:
            stack.enter_context(owned(settings))
        except Taken as error:
            try:
                served = settings.dsn_file.read_text("utf-8").strip()
            except FileNotFoundError:
                raise Unavailable(f"the database of {settings.data_dir} (a service is starting on it)") from error
            yield served, True
        else:
            if not _holds_data(settings):
                if making is None:
                    raise _no_data(settings)
                making(settings.data_dir.absolute())
            yield stack.enter_context(running_database(settings)).dsn, False


def _holds_data(settings: Settings) -> bool:
    return (settings.database_dir / "PG_VERSION").exists()


def _no_data(settings: Settings) -> InvalidInput:
    return InvalidInput(
        "--data-dir",
        f"{settings.data_dir.absolute()} holds no database; name the directory that `cxi-bandit serve` uses, or run it",
    )


@contextmanager
def open_store(settings: Settings, making: Callable[[Path], object] | None = None) -> Iterator[PostgresStore]:
    """The store for a command, with this version's schema.

    Args:
        making: As of `reached`.

    Raises:
        InvalidInput: There is no database, or it has another version's schema that is not this command's to change.
        Unavailable: The database does not answer.
    """
    with reached(settings, making) as (dsn, served):
        if served:
            check(dsn)
        else:
            upgrade(dsn)
        store = PostgresStore.open(dsn)
        try:
            yield store
        finally:
            store.close()
