"""Permits in PostgreSQL: what a shopper had is in the decision log; what may be on its way there is in this table."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, InterventionId, lowest_id_at
from cxi_bandit.engine.ports import PermitRequest
from cxi_bandit.policy.caps import Use
from cxi_bandit.store.postgres.connection import LONG, Connection, Database

# One request for a shopper at a time. The first number keeps these locks apart from all others; two shoppers with the
# same second one merely wait for each other. Sorted before any is taken, so that nobody waits in a ring.
_LOCK: Final = """
SELECT pg_advisory_xact_lock(1667786082, shopper)
FROM (SELECT unnest(%b::int4[]) AS shopper OFFSET 0) AS given
"""

# A statement of its own, as only a new snapshot sees what others did while we waited. In this one snapshot every permit
# that was ever taken is there, or its decision is: whoever removes a permit has seen the decision. The requests' own
# permits, left by an attempt before, are taken anew.
_USES: Final = """
WITH given AS (
  SELECT * FROM unnest(%b::int4[], %b::text[], %b::bytea[], %b::uuid[]) AS given (place, policy, subject, since)
)
SELECT given.place, had.decided_at, ARRAY[had.intervention] FROM given CROSS JOIN LATERAL (
  SELECT d.decided_at, d.intervention FROM decisions d
  WHERE d.subject = given.subject AND d.decision_id >= given.since AND d.decision_id >= %b
    AND d.policy = given.policy AND d.intervention <> 'hold'
  OFFSET 0
) had
UNION ALL
SELECT given.place, p.taken_at, p.interventions
FROM given JOIN permits p USING (subject, policy)
WHERE p.decision_id <> ALL(%b::uuid[])
  AND NOT EXISTS (SELECT FROM decisions d WHERE d.decision_id = p.decision_id)
"""

_TAKE: Final = """
INSERT INTO permits (decision_id, policy, subject, interventions, taken_at, ends_at)
SELECT decision_id, policy, subject, interventions, taken_at, ends_at FROM json_to_recordset(%b::json)
  AS given (decision_id uuid, policy text, subject bytea, interventions text[], taken_at timestamptz,
            ends_at timestamptz)
ORDER BY decision_id
ON CONFLICT (decision_id) DO UPDATE SET interventions = excluded.interventions
"""
_RELEASE: Final = "DELETE FROM permits WHERE decision_id = ANY(%b::uuid[])"
_FORGET: Final = "DELETE FROM permits WHERE subject = %b AND taken_at <= %b::timestamptz"
_PRUNE: Final = """
DELETE FROM permits p
WHERE ends_at < %b::timestamptz OR EXISTS (SELECT FROM decisions d WHERE d.decision_id = p.decision_id)
"""

_encode: Final = msgspec.json.Encoder().encode


class PostgresPermits:
    """Permits in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, asked: Sequence[PermitRequest]) -> list[dict[InterventionId, str]]:
        """See the port."""
        refused: list[dict[InterventionId, str]] = []
        taken: dict[tuple[str, bytes], list[Use]] = defaultdict(list)
        rows: list[dict[str, object]] = []
        with self._database.transaction() as connection:
            connection.execute(_LOCK, [sorted({_number(one.subject) for one in asked})])
            uses = _uses(connection, asked)
            for place, one in enumerate(asked):
                shopper = (one.policy, one.subject)
                found = one.caps.withheld([*uses[place], *taken[shopper]], one.at)
                refused.append({name: words for name, words in found.items() if name in one.wanted})
                left = tuple(sorted(one.wanted - found.keys()))
                if left and one.keep:
                    taken[shopper].append(Use(one.at, left))
                    rows.append(_row(one, left))
            if rows:
                connection.execute(_TAKE, [_encode(rows).decode()])
        return refused

    def release(self, decisions: Sequence[DecisionId]) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_RELEASE, [list(decisions)])

    def forget_shopper(self, subject: bytes, until: datetime) -> dict[str, int]:
        """See the port."""
        with self._database.connection() as connection:
            return {"permits": connection.execute(_FORGET, [subject, until]).rowcount}

    def prune(self, now: datetime) -> None:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            connection.execute(_PRUNE, [now])


def _uses(connection: Connection, asked: Sequence[PermitRequest]) -> dict[int, list[Use]]:
    found: dict[int, list[Use]] = defaultdict(list)
    since = [lowest_id_at(one.at - one.caps.longest) for one in asked]
    own = [one.decision_id for one in asked]
    columns: list[object] = [
        list(range(len(asked))),
        [one.policy for one in asked],
        [one.subject for one in asked],
        since,
        # The least of all lets the planner leave out the days before it.
        min(since),
        own,
    ]
    for place, at, interventions in connection.execute(_USES, columns):
        found[place].append(Use(at, tuple(interventions)))
    return found


def _number(subject: bytes) -> int:
    return int.from_bytes(subject[:4], "big", signed=True)


def _row(one: PermitRequest, interventions: tuple[InterventionId, ...]) -> dict[str, object]:
    return {
        "decision_id": one.decision_id,
        "policy": one.policy,
        "subject": f"\\x{one.subject.hex()}",
        "interventions": interventions,
        "taken_at": one.at,
        "ends_at": one.at + one.caps.longest,
    }
