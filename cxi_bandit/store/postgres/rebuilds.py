"""Requests for rebuilds in PostgreSQL: one row when it is asked for, another when it is answered."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.rebuilding import RebuildRequest
from cxi_bandit.store.postgres.connection import Connection, Database

_ASK: Final = "INSERT INTO rebuild_requests (policy, reason, asked_at) VALUES (%s, %s, %s) RETURNING request_id"
_READ: Final = """
SELECT q.request_id, q.policy, q.reason, q.asked_at, a.models, a.answered_at
FROM rebuild_requests q LEFT JOIN rebuild_answers a USING (request_id)
"""
# Not "later than the last one answered": a request may commit after one that was made later.
_WAITING: Final = f"{_READ} WHERE a.request_id IS NULL ORDER BY q.request_id"
_HISTORY: Final = f"{_READ} WHERE q.policy = %s ORDER BY q.request_id"
_ANSWER: Final = """
INSERT INTO rebuild_answers (request_id, models, answered_at) SELECT request_id, %s, %s FROM unnest(%s::int8[]) AS
  given (request_id) ORDER BY request_id ON CONFLICT (request_id) DO NOTHING
"""


class PostgresRebuilds:
    """Rebuilds in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, policy: PolicyName, reason: str, at: datetime) -> int:
        """See the port."""
        with self._database.transaction() as connection:
            return ask_for_rebuild(connection, policy, reason, at)

    def waiting(self) -> list[RebuildRequest]:
        """See the port."""
        with self._database.connection() as connection:
            return [_request(row) for row in connection.execute(_WAITING)]

    def answer(self, requests: Collection[int], models: Sequence[ModelVersion], at: datetime) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_ANSWER, [list(models), at, list(requests)])

    def history(self, policy: PolicyName) -> list[RebuildRequest]:
        """See the port."""
        with self._database.connection() as connection:
            return [_request(row) for row in connection.execute(_HISTORY, [policy])]


def ask_for_rebuild(connection: Connection, policy: PolicyName, reason: str, at: datetime) -> int:
    """Asks in the transaction that `connection` is in."""
    row = connection.execute(_ASK, [policy, reason, at]).fetchone()
    return 0 if row is None else int(row[0])


def _request(row: Sequence[Any]) -> RebuildRequest:
    request_id, policy, reason, asked_at, models, answered_at = row
    return RebuildRequest(
        request_id=request_id,
        policy=policy,
        reason=reason,
        asked_at=asked_at,
        models=None if models is None else tuple(models),
        answered_at=answered_at,
    )
