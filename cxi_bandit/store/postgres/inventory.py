"""What a database holds, in a few numbers: enough to tell whether a copy of it is whole."""

from datetime import datetime

import msgspec
import psycopg

from cxi_bandit.store.postgres.connection import translated


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """A database at one moment.

    Attributes:
        server: PostgreSQL's version.
        revision: Of the schema; None for a database that was never migrated.
        positions: How far each sequence came: `ledger`, `outcomes/<policy>`. They only grow.
        last_decision_at: When the latest decision was made, None without any.
    """

    server: str
    revision: str | None
    positions: dict[str, int]
    last_decision_at: datetime | None

    def holds(self, other: "Inventory") -> bool:
        """Whether everything that `other` had counted is here too."""
        return all(self.positions.get(name, 0) >= last for name, last in other.positions.items())


def take_inventory(dsn: str) -> Inventory:
    """Counts what is there.

    Raises:
        Unavailable: The database does not answer.
    """
    with translated(), psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        server = str(connection.info.parameter_status("server_version"))
        row = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        if row is None or not row[0]:
            return Inventory(server=server, revision=None, positions={}, last_decision_at=None)
        revision = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
        last = connection.execute("SELECT decided_at FROM decisions ORDER BY decision_id DESC LIMIT 1").fetchone()
        return Inventory(
            server=server,
            revision=None if revision is None else revision[0],
            positions=dict(connection.execute('SELECT name, last_position FROM sequences ORDER BY name COLLATE "C"')),
            last_decision_at=None if last is None else last[0],
        )
