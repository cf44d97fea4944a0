"""Tallies in PostgreSQL: marks that say how far was counted, and the counts as they are read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import DecisionId, PolicyName, lowest_id_at, minted_at
from cxi_bandit.domain.tallies import ArmTally, DrawnTally, Span, TallyProgress
from cxi_bandit.store.postgres.connection import LONG, Connection, Database
from cxi_bandit.store.postgres.counting import DECIDED, NOBODY, closed_mark, count_closed, count_decided, seed
from cxi_bandit.store.postgres.sequencing import outcomes_of

_MARK: Final = """
SELECT last_decision, last_position FROM tally_marks WHERE name = %b::text FOR UPDATE SKIP LOCKED
"""
_MOVE: Final = """
UPDATE tally_marks SET last_decision = %b::uuid, last_position = %b::bigint WHERE name = %b::text
"""
_HEAD: Final = "SELECT last_position FROM sequences WHERE name = %b::text"
_MARKS: Final = "SELECT name, last_decision, last_position FROM tally_marks WHERE name = ANY(%b::text[])"

_FORGET_MINUTES: Final = "DELETE FROM tallies WHERE span = 'minute' AND starts_at < %b::timestamptz"

_WAIT: Final = "LOCK TABLE tally_marks IN EXCLUSIVE MODE"
_FIRST: Final = "SELECT decision_id FROM decisions ORDER BY decision_id LIMIT 1"
_UNCOUNT: Final = "DELETE FROM tallies WHERE starts_at >= date_trunc('day', %b::timestamptz)"
_BEGIN: Final = "UPDATE tally_marks SET last_decision = %b::uuid, last_position = 0"

# What erasures emptied says nothing any more.
_DRAWN: Final = """
SELECT starts_at, intervention, sum(greatest(decided, closed))::int8,
  sum(greatest(decided_mass, closed_mass))::float8 / 1e9
FROM tallies WHERE policy = %b::text AND span = %b::text AND starts_at >= %b::timestamptz
GROUP BY starts_at, intervention
HAVING sum(greatest(decided, closed)) > 0 OR sum(greatest(decided_mass, closed_mass)) > 0
ORDER BY starts_at, intervention COLLATE "C"
"""
_BY_ARM: Final = """
SELECT starts_at, policy_version, arm, sum(greatest(decided, closed))::int8, sum(closed)::int8, sum(judged)::int8,
  sum(reward)::float8, sum(squares)::float8
FROM tallies WHERE policy = %b::text AND span = %b::text AND starts_at >= %b::timestamptz
  AND starts_at < coalesce(%b::timestamptz, 'infinity')
GROUP BY starts_at, policy_version, arm HAVING sum(greatest(decided, closed)) > 0
ORDER BY starts_at, policy_version, arm COLLATE "C"
"""


class PostgresTallies:
    """See the port for every method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count_decided(self, before: datetime, minutes_since: datetime, limit: int) -> int:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            mark = _mark(connection, DECIDED)
            bound = lowest_id_at(before)
            if mark is None or mark[0] >= bound:
                return 0
            counted, last = count_decided(connection, mark[0], bound, minutes_since, limit)
            # What is before the bound and not there yet counts when its window closes.
            reached = last if last is not None and counted == limit else bound
            connection.execute(_MOVE, [reached, 0, DECIDED])
            return counted

    def count_closed(self, policy: PolicyName, minutes_since: datetime, limit: int) -> int:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            head = connection.execute(_HEAD, [outcomes_of(policy)]).fetchone()
            mark = None if head is None else _mark(connection, closed_mark(policy))
            if head is None or mark is None:
                return 0
            up_to = min(head[0], mark[1] + limit)
            if up_to > mark[1]:
                count_closed(connection, policy, (mark[1], up_to), minutes_since)
                connection.execute(_MOVE, [NOBODY, up_to, closed_mark(policy)])
            return int(up_to - mark[1])

    def forget_minutes(self, before: datetime) -> None:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            connection.execute(_FORGET_MINUTES, [before])

    def recount(self) -> None:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            connection.execute(_WAIT)
            first = connection.execute(_FIRST).fetchone()
            if first is not None:
                connection.execute(_UNCOUNT, [minted_at(first[0])])
            connection.execute(_BEGIN, [NOBODY])

    def drawn(self, policy: PolicyName, span: Span, since: datetime) -> list[DrawnTally]:
        """See the port."""
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_DRAWN, [policy, span.value, since])
            return [
                DrawnTally(starts_at=at, intervention=name, decided=decided, expected=expected)
                for at, name, decided, expected in cursor
            ]

    def by_arm(self, policy: PolicyName, span: Span, since: datetime, until: datetime | None = None) -> list[ArmTally]:
        """See the port."""
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_BY_ARM, [policy, span.value, since, until])
            return [
                ArmTally(
                    starts_at=at,
                    policy_version=version,
                    arm=Arm(arm),
                    decided=decided,
                    closed=closed,
                    judged=judged,
                    reward=reward,
                    squares=squares,
                )
                for at, version, arm, decided, closed, judged, reward, squares in cursor
            ]

    def progress(self, policies: Sequence[PolicyName]) -> dict[PolicyName, TallyProgress]:
        """See the port."""
        with self._database.connection() as connection:
            names = [DECIDED, *(closed_mark(policy) for policy in policies)]
            marks = {name: (last, position) for name, last, position in connection.execute(_MARKS, [names])}
        until = minted_at(marks.get(DECIDED, (NOBODY, 0))[0])
        return {
            policy: TallyProgress(decided_until=until, position=marks.get(closed_mark(policy), (NOBODY, 0))[1])
            for policy in policies
        }


def _mark(connection: Connection, name: str) -> tuple[DecisionId, int] | None:
    """How far was counted, for this transaction alone to move; None while somebody else counts."""
    row = connection.execute(_MARK, [name]).fetchone()
    if row is None:
        seed(connection, name)
        row = connection.execute(_MARK, [name]).fetchone()
    return None if row is None else (row[0], row[1])
