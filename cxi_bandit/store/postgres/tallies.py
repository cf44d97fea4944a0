"""Tallies in PostgreSQL: marks that say how far was counted, and the counts as they are read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import BEFORE_ALL, DecisionId, PolicyName, lowest_id_at, minted_at
from cxi_bandit.domain.tallies import ArmTally, DrawnTally, Span, Stretches, TallyProgress
from cxi_bandit.store.postgres.connection import LONG, Connection, Database
from cxi_bandit.store.postgres.counting import DECIDED, closed_mark, count_closed, count_decided, seed
from cxi_bandit.store.postgres.sequencing import outcomes_of

_MARK: Final = """
SELECT last_decision, last_position FROM tally_marks WHERE name = %b::text FOR UPDATE SKIP LOCKED
"""
_MOVE: Final = """
UPDATE tally_marks SET last_decision = %b::uuid, last_position = %b::bigint WHERE name = %b::text
"""
_SPANS: Final = {span.value: span for span in Span}
_ARMS: Final = {arm.value: arm for arm in Arm}

# Looked at first: a lock that finds nothing to count would be a commit to wait for, every second.
_AHEAD: Final = """
SELECT s.last_position FROM sequences s LEFT JOIN tally_marks m ON m.name = %b::text
WHERE s.name = %b::text AND s.last_position > coalesce(m.last_position, 0)
"""
_PROGRESS: Final = """
SELECT (SELECT last_decision FROM tally_marks WHERE name = %b::text), coalesce(m.last_position, 0),
  coalesce(s.last_position, 0)
FROM unnest(%b::text[], %b::text[]) WITH ORDINALITY AS asked (mark, sequence, place)
LEFT JOIN tally_marks m ON m.name = asked.mark LEFT JOIN sequences s ON s.name = asked.sequence ORDER BY asked.place
"""

_FORGET_MINUTES: Final = "DELETE FROM tallies WHERE span = 'minute' AND starts_at < %b::timestamptz"

_WAIT: Final = "LOCK TABLE tally_marks IN EXCLUSIVE MODE"
_FIRST: Final = "SELECT decision_id FROM decisions ORDER BY decision_id LIMIT 1"
_UNCOUNT: Final = "DELETE FROM tallies WHERE starts_at >= date_trunc('day', %b::timestamptz)"
_BEGIN: Final = "UPDATE tally_marks SET last_decision = %b::uuid, last_position = 0"

# Each stretch of each policy by itself, so that it goes along the key, however much is counted. What erasures emptied
# says nothing any more.
_ASKED: Final[LiteralString] = """
FROM unnest(%b::text[]) AS asked (policy)
CROSS JOIN unnest(%b::text[], %b::timestamptz[], %b::timestamptz[]) WITH ORDINALITY AS s (span, since, until, place)
CROSS JOIN LATERAL (
"""
_WITHIN: Final[LiteralString] = """
  FROM tallies t WHERE t.policy = asked.policy AND t.span = s.span AND t.starts_at >= s.since
    AND t.starts_at < coalesce(s.until, 'infinity')
"""
_DRAWN: Final = f"""
SELECT asked.policy, s.span, found.* {_ASKED}
  SELECT starts_at, intervention, sum(greatest(decided, closed))::int8,
    sum(greatest(decided_mass, closed_mass))::float8 / 1e9
  {_WITHIN}
  GROUP BY starts_at, intervention
  HAVING sum(greatest(decided, closed)) > 0 OR sum(greatest(decided_mass, closed_mass)) > 0
) found ORDER BY asked.policy, s.place, found.starts_at, found.intervention COLLATE "C"
"""
_BY_ARM: Final = f"""
SELECT asked.policy, s.span, found.* {_ASKED}
  SELECT starts_at, policy_version, arm, sum(greatest(decided, closed))::int8, sum(closed)::int8, sum(judged)::int8,
    sum(reward)::float8, sum(squares)::float8
  {_WITHIN}
  GROUP BY starts_at, policy_version, arm HAVING sum(greatest(decided, closed)) > 0
) found ORDER BY asked.policy, s.place, found.starts_at, found.policy_version, found.arm COLLATE "C"
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
            head = connection.execute(_AHEAD, [closed_mark(policy), outcomes_of(policy)]).fetchone()
            mark = None if head is None else _mark(connection, closed_mark(policy))
            if head is None or mark is None:
                return 0
            up_to = min(head[0], mark[1] + limit)
            if up_to > mark[1]:
                count_closed(connection, policy, (mark[1], up_to), minutes_since)
                connection.execute(_MOVE, [BEFORE_ALL, up_to, closed_mark(policy)])
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
            connection.execute(_BEGIN, [BEFORE_ALL])

    def drawn(
        self, policies: Sequence[PolicyName], stretches: Sequence[Stretches]
    ) -> dict[PolicyName, list[DrawnTally]]:
        """See the port."""
        found: dict[PolicyName, list[DrawnTally]] = {policy: [] for policy in policies}
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            for policy, span, at, name, decided, expected in cursor.execute(_DRAWN, _asked(policies, stretches)):
                tally = DrawnTally(
                    span=_SPANS[span], starts_at=at, intervention=name, decided=decided, expected=expected
                )
                found[policy].append(tally)
        return found

    def by_arm(
        self, policies: Sequence[PolicyName], stretches: Sequence[Stretches]
    ) -> dict[PolicyName, list[ArmTally]]:
        """See the port."""
        found: dict[PolicyName, list[ArmTally]] = {policy: [] for policy in policies}
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            for policy, span, at, version, arm, decided, closed, judged, reward, squares in cursor.execute(
                _BY_ARM, _asked(policies, stretches)
            ):
                tally = ArmTally(
                    span=_SPANS[span],
                    starts_at=at,
                    policy_version=version,
                    arm=_ARMS[arm],
                    decided=decided,
                    closed=closed,
                    judged=judged,
                    reward=reward,
                    squares=squares,
                )
                found[policy].append(tally)
        return found

    def progress(self, policies: Sequence[PolicyName]) -> dict[PolicyName, TallyProgress]:
        """See the port."""
        with self._database.connection() as connection:
            marks = [closed_mark(policy) for policy in policies]
            rows = connection.execute(_PROGRESS, [DECIDED, marks, [outcomes_of(policy) for policy in policies]])
            return {
                policy: TallyProgress(decided_until=minted_at(last or BEFORE_ALL), position=position, head=head)
                for policy, (last, position, head) in zip(policies, rows, strict=True)
            }


def _asked(policies: Sequence[PolicyName], stretches: Sequence[Stretches]) -> list[list[object]]:
    return [
        list(policies),
        [one.span.value for one in stretches],
        [one.since for one in stretches],
        [one.until for one in stretches],
    ]


def _mark(connection: Connection, name: str) -> tuple[DecisionId, int] | None:
    """How far was counted, for this transaction alone to move; None while somebody else counts."""
    row = connection.execute(_MARK, [name]).fetchone()
    if row is None:
        seed(connection, name)
        row = connection.execute(_MARK, [name]).fetchone()
    return None if row is None else (row[0], row[1])
