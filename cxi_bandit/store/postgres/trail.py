"""The audit trail in PostgreSQL: each line written in the transaction of what it tells of."""

from typing import Final

import msgspec

from cxi_bandit.domain.release import AuditEntry, AuditLine
from cxi_bandit.store.postgres.connection import Connection, Database

_ADD: Final = "INSERT INTO audit_trail (at, actor, action, policy, detail) VALUES (%s, %s, %s, %s, %s::json)"
_PAGE: Final = """
SELECT entry_id, at, actor, action, policy, detail::text FROM audit_trail
WHERE %(before)s::bigint IS NULL OR entry_id < %(before)s ORDER BY entry_id DESC LIMIT %(limit)s
"""

_detail: Final = msgspec.json.Decoder(dict[str, str]).decode


class PostgresTrail:
    """Trail in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, before: int | None, limit: int) -> list[AuditLine]:
        """See the port."""
        asked = {"before": before, "limit": limit}
        with self._database.connection() as connection:
            return [
                AuditLine(number, AuditEntry(at=at, actor=actor, action=action, policy=policy, detail=_detail(detail)))
                for number, at, actor, action, policy, detail in connection.execute(_PAGE, asked)
            ]


def write_line(connection: Connection, entry: AuditEntry) -> None:
    """Adds a line, in the transaction that `connection` is in."""
    detail = msgspec.json.encode(entry.detail).decode()
    connection.execute(_ADD, [entry.at, entry.actor, entry.action, entry.policy, detail])
