"""Visits in PostgreSQL. Outcomes are read apart, by decision: no plan ever joins the two logs whole."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from psycopg.sql import SQL

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName, lowest_id_at
from cxi_bandit.domain.outcome import OutcomeRevision
from cxi_bandit.engine.ports import Visit
from cxi_bandit.store.postgres import decision_rows
from cxi_bandit.store.postgres.connection import LONG, Connection, Database
from cxi_bandit.store.postgres.sequencing import outcome_revision

_BETWEEN: Final = SQL("""
SELECT {} FROM decisions d
WHERE d.policy = %b::text AND d.decision_id > %b AND d.decision_id < %b ORDER BY d.decision_id LIMIT %b::bigint
""").format(decision_rows.COLUMNS)

# The bound on the ids keeps it to the partitions since then; a shopper's decisions stand in order in the index.
_FIRST: Final = """
SELECT given.subject, earliest.decision_id
FROM unnest(%b::bytea[]) AS given (subject)
CROSS JOIN LATERAL (
  SELECT d.decision_id FROM decisions d
  WHERE d.subject = given.subject AND d.decision_id >= %b AND d.policy = %b::text
    AND (%b::text[] = '{}' OR d.defect_type = ANY(%b::text[]))
  ORDER BY d.decision_id LIMIT 1
) earliest
"""

_FOLLOWING: Final = """
SELECT given.decision_id, later.decision_id
FROM unnest(%b::uuid[], %b::bytea[], %b::text[], %b::uuid[]) AS given (decision_id, subject, policy, until)
CROSS JOIN LATERAL (
  SELECT d.decision_id FROM decisions d
  WHERE d.subject = given.subject AND d.decision_id > given.decision_id AND d.decision_id < given.until
    AND d.policy = given.policy
  ORDER BY d.decision_id LIMIT %b::bigint
) later
ORDER BY given.decision_id, later.decision_id
"""

_CLOSES: Final = """
SELECT policy, position, decision_id, revision, reward, metrics::text, counted, completed, standing, ledger_cut,
  closed_at
FROM outcomes WHERE decision_id = ANY(%b::uuid[]) AND revision = 0 AND erased IS NULL
"""


class PostgresVisits:
    """See the port for every method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def between(self, policy: PolicyName, after: DecisionId, before: datetime, limit: int) -> list[Visit]:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            with connection.cursor(binary=True) as cursor:
                cursor.execute(_BETWEEN, [policy, after, lowest_id_at(before), limit])
                made = [decision_rows.read(row) for row in cursor]
            closes = _closes(connection, [decision.decision_id for decision in made])
        return [Visit(decision, closes.get(decision.decision_id)) for decision in made]

    def first(
        self, policy: PolicyName, subjects: Collection[bytes], since: datetime, defects: Collection[str] = ()
    ) -> dict[bytes, DecisionId]:
        """See the port."""
        if not subjects:
            return {}
        with self._database.transaction(LONG) as connection, connection.cursor(binary=True) as cursor:
            asked = list(defects)
            cursor.execute(_FIRST, [list(subjects), lowest_id_at(since), policy, asked, asked])
            return {bytes(subject): decision for subject, decision in cursor}

    def following(self, first: Sequence[Decision], window: timedelta, limit: int) -> dict[DecisionId, list[Visit]]:
        """See the port."""
        if not first:
            return {}
        asked = [
            [decision.decision_id for decision in first],
            [decision.subject for decision in first],
            [decision.policy for decision in first],
            [lowest_id_at(decision.decided_at + window) for decision in first],
        ]
        with self._database.transaction(LONG) as connection:
            with connection.cursor(binary=True) as cursor:
                pairs = cursor.execute(_FOLLOWING, [*asked, limit]).fetchall()
            names = {name for _, name in pairs}
            known = decision_rows.by_id(connection, names)
            closes = _closes(connection, names)
        found: dict[DecisionId, list[Visit]] = {decision.decision_id: [] for decision in first}
        for owner, name in pairs:
            if name in known:
                found[owner].append(Visit(known[name], closes.get(name)))
        return found


def _closes(connection: Connection, decisions: Collection[DecisionId]) -> dict[DecisionId, OutcomeRevision]:
    if not decisions:
        return {}
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_CLOSES, [list(decisions)])
        return {close.decision_id: close for close in map(outcome_revision, cursor)}
