"""The statements that count: decisions as they come, windows as they close, and both taken back by an erasure.

Rewards are added as `numeric` and probabilities as whole billionths: such sums are exact, so that whatever was added in
whatever order, and taken away again, leaves what the log would give there and then.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, LiteralString

from cxi_bandit.domain.identifiers import BEFORE_ALL, DecisionId, PolicyName
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.tallies import JUDGED
from cxi_bandit.store.postgres.connection import Connection

DECIDED: Final = "decided"
"""Name of the mark of decisions as they come."""

_KEY: Final = "policy, span, starts_at, policy_version, arm, intervention"
_COUNTS: Final = "decided, decided_mass, closed, closed_mass, judged, reward, squares"

# What is counted of each of `named`, a row a decision: once for the intervention drawn, and its probability for each
# that was eligible. By minute first: there are few of those in one go, and an hour or a day is made of them.
_SUMMED: Final[LiteralString] = """
each AS (
  SELECT policy, minute, policy_version, arm, decided, closed,
    unnest(eligible) AS intervention, unnest(probabilities) AS probability
  FROM named WHERE decided <> 0 OR closed <> 0
), by_minute AS (
  SELECT policy, minute, policy_version, arm, intervention, sum(decided) AS decided, 0 AS decided_mass,
    sum(closed) AS closed, 0 AS closed_mass, sum(judged) AS judged, sum(reward) AS reward, sum(squares) AS squares
  FROM named GROUP BY policy, minute, policy_version, arm, intervention
  UNION ALL
  SELECT policy, minute, policy_version, arm, intervention, 0, sum(decided * round(probability * 1e9)::int8),
    0, sum(closed * round(probability * 1e9)::int8), 0, 0, 0
  FROM each GROUP BY policy, minute, policy_version, arm, intervention
), summed AS (
  SELECT policy, span, date_trunc(span, minute) AS starts_at, policy_version, arm, intervention,
    sum(decided)::int8 AS decided, sum(decided_mass)::int8 AS decided_mass, sum(closed)::int8 AS closed,
    sum(closed_mass)::int8 AS closed_mass, sum(judged)::int8 AS judged, sum(reward) AS reward, sum(squares) AS squares
  FROM by_minute CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) AS spans (span)
  WHERE span <> 'minute' OR minute >= %(minutes_since)s::timestamptz
  GROUP BY policy, span, date_trunc(span, minute), policy_version, arm, intervention
)"""
# Sorted, so that two who count, one what came and one what closed, never wait for each other in a ring.
_ADD: Final[LiteralString] = f"""
INSERT INTO tallies ({_KEY}, {_COUNTS}) SELECT {_KEY}, {_COUNTS} FROM summed ORDER BY {_KEY}
ON CONFLICT ({_KEY}) DO UPDATE SET
  decided = tallies.decided + excluded.decided, decided_mass = tallies.decided_mass + excluded.decided_mass,
  closed = tallies.closed + excluded.closed, closed_mass = tallies.closed_mass + excluded.closed_mass,
  judged = tallies.judged + excluded.judged, reward = tallies.reward + excluded.reward,
  squares = tallies.squares + excluded.squares
"""  # noqa: S608 - made of constants

_DECISION: Final[LiteralString] = """d.policy, date_trunc('minute', d.decided_at) AS minute, d.policy_version,
    coalesce(d.assignment ->> 'arm', 'live') AS arm, d.intervention, d.eligible, d.probabilities"""

_COUNT_DECIDED: Final = f"""
WITH named AS (
  SELECT d.decision_id, {_DECISION}, 1 AS decided, 0 AS closed, 0 AS judged, 0::numeric AS reward, 0::numeric AS squares
  FROM decisions d
  WHERE d.decision_id > %(after)s::uuid AND d.decision_id < %(before)s::uuid
  ORDER BY d.decision_id LIMIT %(limit)s::bigint
), {_SUMMED}, added AS ({_ADD})
SELECT count(*), (SELECT decision_id FROM named ORDER BY decision_id DESC LIMIT 1) FROM named
"""  # noqa: S608 - as above

# A revision's difference to the one before it. Decisions are looked up one by one, so that no plan scans the log.
_COUNT_CLOSED: Final = f"""
WITH named AS (
  SELECT {_DECISION}, 0 AS decided, (o.revision = 0)::int AS closed, (o.revision = 0 AND judges)::int AS judged,
    judges::int * (o.reward::numeric - coalesce(before.reward::numeric, 0)) AS reward,
    judges::int * (o.reward::numeric * o.reward::numeric
      - coalesce(before.reward::numeric * before.reward::numeric, 0)) AS squares
  FROM outcomes o
  CROSS JOIN LATERAL (SELECT o.standing = ANY(%(judged)s::text[]) AS judges) j
  CROSS JOIN LATERAL (SELECT * FROM decisions d WHERE d.decision_id = o.decision_id LIMIT 1) d
  LEFT JOIN LATERAL (
    SELECT b.reward FROM outcomes b
    WHERE o.revision > 0 AND b.decision_id = o.decision_id AND b.revision = o.revision - 1 LIMIT 1
  ) before ON true
  WHERE o.policy = %(policy)s::text AND o.position > %(after)s::bigint AND o.position <= %(up_to)s::bigint
    AND o.erased IS NULL
), {_SUMMED}
{_ADD}"""  # noqa: S608 - as above

# Marks that nobody has set yet are set now, so that whoever counts first waits as well.
_SEED: Final = """
INSERT INTO tally_marks (name, last_decision, last_position) VALUES (%b::text, %b::uuid, 0) ON CONFLICT DO NOTHING
"""
_WAIT: Final = "SELECT FROM tally_marks ORDER BY name FOR UPDATE"
_TAKE_BACK: Final = f"""
WITH named AS (
  SELECT {_DECISION}, -(d.decision_id <= came.last_decision)::int AS decided,
    -(first.decision_id IS NOT NULL)::int AS closed, -coalesce(first.judges, 0) AS judged,
    -coalesce(first.judges * latest.reward::numeric, 0) AS reward,
    -coalesce(first.judges * latest.reward::numeric * latest.reward::numeric, 0) AS squares
  FROM decisions d JOIN tally_marks came ON came.name = '{DECIDED}'
  LEFT JOIN tally_marks mark ON mark.name = 'closed/' || d.policy
  LEFT JOIN LATERAL (
    SELECT o.decision_id, (o.standing = ANY(%(judged)s::text[]))::int AS judges FROM outcomes o
    WHERE o.decision_id = d.decision_id AND o.revision = 0 AND o.position <= mark.last_position
  ) first ON true
  LEFT JOIN LATERAL (
    SELECT o.reward FROM outcomes o WHERE o.decision_id = d.decision_id AND o.position <= mark.last_position
    ORDER BY o.revision DESC LIMIT 1
  ) latest ON true
  WHERE d.decision_id = ANY(%(names)s::uuid[])
    AND d.decision_id >= %(lowest)s::uuid AND d.decision_id <= %(highest)s::uuid
), {_SUMMED}
UPDATE tallies t SET
  decided = greatest(t.decided + s.decided, 0), decided_mass = greatest(t.decided_mass + s.decided_mass, 0),
  closed = t.closed + s.closed, closed_mass = t.closed_mass + s.closed_mass,
  judged = t.judged + s.judged, reward = t.reward + s.reward, squares = t.squares + s.squares
FROM summed s
WHERE t.policy = s.policy AND t.span = s.span AND t.starts_at = s.starts_at
  AND t.policy_version = s.policy_version AND t.arm = s.arm AND t.intervention = s.intervention
"""  # noqa: S608 - as above
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

_JUDGED: Final[list[str]] = sorted(standing.value for standing in OutcomeStanding if standing in JUDGED)


def closed_mark(policy: PolicyName) -> str:
    """Name of the mark of a policy's closed windows."""
    return f"closed/{policy}"


def count_decided(
    connection: Connection, after: DecisionId, before: DecisionId, minutes_since: datetime, limit: int
) -> tuple[int, DecisionId | None]:
    """Counts decisions after one and before another; how many, and the last of them."""
    values = {"after": after, "before": before, "minutes_since": minutes_since, "limit": limit}
    row = connection.execute(_COUNT_DECIDED, values).fetchone()
    return (0, None) if row is None else (row[0], row[1])


def count_closed(connection: Connection, policy: PolicyName, span: tuple[int, int], minutes_since: datetime) -> None:
    """Counts the outcome positions in (after, up to]."""
    after, up_to = span
    values = {"policy": policy, "after": after, "up_to": up_to, "judged": _JUDGED, "minutes_since": minutes_since}
    connection.execute(_COUNT_CLOSED, values)


def seed(connection: Connection, name: str) -> None:
    """Makes a mark where nothing is counted yet, unless there is one."""
    connection.execute(_SEED, [name, BEFORE_ALL])


def take_back(connection: Connection, policy: PolicyName, decisions: Sequence[DecisionId]) -> None:
    """Takes decisions of a policy out of the counts, before they are erased, in the erasure's transaction."""
    for name in (closed_mark(policy), DECIDED):
        seed(connection, name)
    connection.execute(_WAIT)
    if not decisions:
        return
    names = list(decisions)
    values = {"names": names, "lowest": min(names), "highest": max(names), "judged": _JUDGED}
    connection.execute(_TAKE_BACK, {**values, "minutes_since": _EVER})
