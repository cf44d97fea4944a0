"""Bringing a database to this version's schema: every process may try, one at a time does it, all or nothing."""

from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from cxi_bandit.store.connection import conninfo, translated

_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('cxi_bandit.migrate', 0))")


def upgrade(dsn: str, revision: str = "head") -> None:
    """Migrates up to `revision` in one transaction; waits while another process does. Idempotent.

    Raises:
        Unavailable: The database cannot be reached.
    """
    _run(dsn, revision, up=True)


def downgrade(dsn: str, revision: str) -> None:
    """Migrates down to `revision` (`base` for an empty database). Loses the data of the tables it drops."""
    _run(dsn, revision, up=False)


def configuration() -> Config:
    """Alembic's configuration, made here: an installed package has no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(_location()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _run(dsn: str, revision: str, *, up: bool) -> None:
    info = conninfo(dsn, "cxi-bandit migrate", None)

    def connect() -> psycopg.Connection:
        # Outside SQLAlchemy, so that the driver's own error says that the database is away.
        with translated():
            return psycopg.connect(info)

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(_LOCK)
        config = configuration()
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)


def _location() -> Path:
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_shipped" / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"
