"""Bringing a database to this version's schema: every process may try, one at a time does it, all or nothing.

Alembic and SQLAlchemy are imported only where there is something to migrate: they take longer than most starts.
"""

# ruff: noqa: PLC0415 - imports inside functions, for the reason above

import random
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.store.postgres.connection import conninfo, translated

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('cxi_bandit.migrate', 0))"
# A table lock that is waited for keeps everybody behind it waiting: rather let go, and try again when there is a gap.
_IMPATIENT: Final = "SELECT set_config('lock_timeout', %s, true)"
_LOCK_MILLISECONDS: Final = 200
_PAUSE_SECONDS: Final = (0.2, 1.0)
_REVISION: Final = re.compile(r"\d{4}_\d{2}_\d{2}_(\d{4})_\w+\.py")


def upgrade(dsn: str, revision: str = "head", patience: timedelta = timedelta(minutes=5)) -> None:
    """Migrates up to `revision` in one transaction; waits while another process does. Idempotent.

    Nobody else waits for more than a moment: a table somebody is busy with is waited for that long, then everything is
    undone and tried again.

    Raises:
        InvalidInput: A later version of this product has been at the database.
        Unavailable: The database cannot be reached, or left no gap within `patience`; nothing was changed.
    """
    present = _at(dsn)
    _check_age(present)
    if revision == "head" and present == _newest():
        return
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            _run(dsn, revision, up=True)
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() > deadline:
                raise Unavailable("every table to be migrated (a long transaction holds one)", 60.0) from error
            time.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - spreads load, keeps no secret
        else:
            return


def check(dsn: str) -> None:
    """Whether the schema is this version's, where migrating it is somebody else's to do.

    Raises:
        InvalidInput: It is another version's.
        Unavailable: The database cannot be reached.
    """
    present = _at(dsn)
    _check_age(present)
    if present != _newest():
        raise InvalidInput(
            "database",
            f"has schema {present}, and this version of cxi-bandit needs {_newest()}: start the service anew with this "
            "version, or call the one that it runs with",
        )


def _check_age(present: str | None) -> None:
    """Revisions are numbered: one that is not known here comes after those that are."""
    if present is not None and present not in revisions():
        raise InvalidInput(
            "database",
            f"has schema {present}, newer than the {_newest()} of this version of cxi-bandit: install the version that "
            "the service runs with, or restore a backup from before its upgrade",
        )


def downgrade(dsn: str, revision: str) -> None:
    """Migrates down to `revision` (`base` for an empty database). Loses the data of the tables it drops."""
    _run(dsn, revision, up=False)


def revisions() -> list[str]:
    """Every revision's name, oldest first: they are numbered."""
    names = (_REVISION.fullmatch(path.name) for path in (_location() / "versions").iterdir())
    return sorted(name[1] for name in names if name is not None)


def configuration() -> "Config":
    """Alembic's configuration, made here: an installed package has no alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_location()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _newest() -> str:
    return revisions()[-1]


def _at(dsn: str) -> str | None:
    """The database's revision, None for a database that has none."""
    with translated(), psycopg.connect(conninfo(dsn, "cxi-bandit migrate", None), autocommit=True) as connection:
        try:
            row = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return None if row is None else row[0]


def _run(dsn: str, revision: str, *, up: bool) -> None:
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.pool import NullPool

    info = conninfo(dsn, "cxi-bandit migrate", None)

    def connect() -> psycopg.Connection:
        # Outside SQLAlchemy, so that the driver's own error says that the database is away.
        with translated():
            return psycopg.connect(info)

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(_LOCK)
            connection.exec_driver_sql(_IMPATIENT, (f"{_LOCK_MILLISECONDS}ms",))
            config = configuration()
            config.attributes["connection"] = connection
            (command.upgrade if up else command.downgrade)(config, revision)
    except OperationalError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise error.orig from error
        raise


def _location() -> Path:
    package = Path(__file__).resolve().parents[2]
    shipped = package / "_shipped" / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"
