"""Addressed reward events in PostgreSQL: by shopper, by order, by what they amend, and which decisions have them.

Rows that name neither a shopper nor an order are in none of the indexes used here.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.sql import SQL, Composable, Composed

from cxi_bandit.domain.attribution import Candidate, Credit
from cxi_bandit.domain.identifiers import DecisionId, lowest_id_at
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardKey
from cxi_bandit.engine.ports import Sighting
from cxi_bandit.store.postgres.connection import Connection

EVENT_COLUMNS: Final = SQL(
    "l.source, l.reward_id, l.decision_id, l.subject, l.order_key, l.metric, l.value, l.occurred_at, l.corrects, "
    "l.retracts"
)
"""What `reward_event` reads, of the ledger as l."""

# As the partial index on the keys of addressed events has it, word for word.
_ADDRESSED: Final = SQL("(l.subject IS NOT NULL OR l.order_key IS NOT NULL)")
_ORIGINAL: Final = SQL("l.corrects IS NULL AND l.retracts IS NULL")
_EVERYTHING: Final = SQL("")
_SEQUENCED: Final = SQL("JOIN ledger_positions p USING (entry_id)")

# Shopper by shopper: a plan that joins the whole ledger with them is as bad as both are long.
_NAMING_SHOPPERS: Final = """
SELECT {event}
FROM unnest(%b::bytea[], %b::timestamptz[], %b::timestamptz[]) AS span (subject, since, until)
CROSS JOIN LATERAL (
  SELECT * FROM reward_ledger l
  WHERE l.subject = span.subject AND l.occurred_at BETWEEN span.since AND span.until AND {original} OFFSET 0
) l {seen}
"""

# Of an order of which more than `most` was reported, one more is enough to tell.
_NAMING_ORDERS: Final = """
SELECT {event}
FROM unnest(%b::bytea[], %b::int8[]) AS given (order_key, most)
CROSS JOIN LATERAL (
  SELECT l.* FROM reward_ledger l {seen}
  WHERE l.order_key = given.order_key AND coalesce(l.corrects, l.retracts) IS NULL LIMIT given.most + 1
) l
"""

_LINKING: Final = """
SELECT {event} FROM reward_ledger l {seen}
WHERE l.decision_id = ANY(%b::uuid[]) AND l.order_key IS NOT NULL AND {original}
"""

# UNION, not UNION ALL: a ring of amendments ends. OFFSET 0 keeps the planner from joining with all events at once, of
# which these are few: how many a recursion finds it can only guess.
_AMENDED: Final = """
WITH RECURSIVE up AS (
  SELECT source, reward_id FROM unnest(%b::text[], %b::text[]) AS given (source, reward_id)
  UNION
  SELECT l.source, coalesce(l.corrects, l.retracts)
  FROM up CROSS JOIN LATERAL (
    SELECT * FROM reward_ledger l
    WHERE l.source = up.source AND l.reward_id = up.reward_id AND {addressed} OFFSET 0
  ) l WHERE l.decision_id IS NULL AND coalesce(l.corrects, l.retracts) IS NOT NULL
)
SELECT {event} FROM up CROSS JOIN LATERAL (
  SELECT * FROM reward_ledger l WHERE l.source = up.source AND l.reward_id = up.reward_id AND {addressed} OFFSET 0
) l {seen}
"""

_AMENDMENTS: Final = """
WITH RECURSIVE down AS (
  SELECT source, reward_id FROM unnest(%b::text[], %b::text[]) AS given (source, reward_id)
  UNION
  SELECT l.source, l.reward_id
  FROM down CROSS JOIN LATERAL (
    SELECT source, reward_id FROM reward_ledger l
    WHERE l.source = down.source AND coalesce(l.corrects, l.retracts) = down.reward_id AND l.decision_id IS NULL
    OFFSET 0
  ) l
)
SELECT {event} FROM down CROSS JOIN LATERAL (
  SELECT * FROM reward_ledger l WHERE l.source = down.source AND l.reward_id = down.reward_id AND {addressed} OFFSET 0
) l {seen}
WHERE l.decision_id IS NULL AND NOT ({original})
"""

_CANDIDATE: Final = (
    "d.decision_id, d.policy, d.manifest_sha, d.decided_at, d.closes_at, coalesce(a.activated_at <= d.closes_at, false)"
)

_CANDIDATES: Final = SQL("""
SELECT {} FROM decisions d LEFT JOIN activations a USING (decision_id)
WHERE d.decision_id = ANY(%b::uuid[]) AND d.decision_id >= %b AND d.decision_id <= %b
""").format(SQL(_CANDIDATE))

# The bounds on the id say which partitions can hold the decision; they are wider than the moment by what is lost in
# milliseconds.
_DECISIONS_OF: Final = SQL("""
SELECT given.place, {}
FROM unnest(%b::int4[], %b::bytea[], %b::timestamptz[], %b::uuid[], %b::uuid[])
  AS given (place, subject, moment, earliest, latest)
CROSS JOIN LATERAL (
  SELECT decision_id, policy, manifest_sha, decided_at, closes_at FROM decisions
  WHERE subject = given.subject AND decision_id >= given.earliest AND decision_id < given.latest
    AND decided_at <= given.moment AND closes_at >= given.moment
    AND NOT EXISTS (
      SELECT FROM set_asides s WHERE s.decision_id = decisions.decision_id AND s.reason <> 'answered'
    )
  ORDER BY decision_id DESC LIMIT %b::bigint
) d LEFT JOIN activations a ON a.decision_id = d.decision_id
ORDER BY given.place, d.decision_id DESC
""").format(SQL(_CANDIDATE))

_LONGEST_WINDOW: Final = timedelta(days=90)
_SLACK: Final = timedelta(milliseconds=2)

_CREDITS: Final = SQL("""
SELECT DISTINCT ON (c.entry_id, c.decision_id) l.source, l.reward_id, c.decision_id, c.parts
FROM unnest(%b::text[], %b::text[]) AS given (source, reward_id)
JOIN reward_ledger l USING (source, reward_id)
JOIN credits c USING (entry_id)
WHERE {}
ORDER BY c.entry_id, c.decision_id, c.position DESC
""").format(_ADDRESSED)

_CREDIT: Final = SQL("""
INSERT INTO credits (position, entry_id, decision_id, parts)
SELECT given.position, l.entry_id, given.decision_id, given.parts
FROM unnest(%b::int8[], %b::text[], %b::text[], %b::uuid[], %b::int4[])
  AS given (position, source, reward_id, decision_id, parts)
JOIN reward_ledger l USING (source, reward_id)
WHERE {}
""").format(_ADDRESSED)


def reward_event(row: Sequence[Any]) -> RewardEvent:
    """The event of a row selected as `EVENT_COLUMNS`."""
    source, reward_id, decision_id, subject, order, metric, value, occurred_at, corrects, retracts = row
    return RewardEvent(
        source=source,
        reward_id=reward_id,
        decision_id=decision_id,
        subject=subject,
        order=order,
        metric=metric,
        value=value,
        occurred_at=occurred_at,
        corrects=corrects,
        retracts=retracts,
    )


def _over(query: str, seen: Composable) -> Composed:
    return SQL(query).format(event=EVENT_COLUMNS, addressed=_ADDRESSED, original=_ORIGINAL, seen=seen)


class PostgresAddresses:
    """Addresses on a connection: of all events, sequenced or not."""

    _seen: Composable = _EVERYTHING

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def decisions_of(self, sightings: Collection[Sighting], most: int) -> dict[Sighting, list[Candidate]]:
        """See the port."""
        asked = list(sightings)
        values = [
            list(range(len(asked))),
            [sighting.subject for sighting in asked],
            [sighting.at for sighting in asked],
            [lowest_id_at(sighting.at - _LONGEST_WINDOW - _SLACK) for sighting in asked],
            [lowest_id_at(sighting.at + _SLACK) for sighting in asked],
            most,
        ]
        found: dict[Sighting, list[Candidate]] = {}
        for place, *candidate in self._rows(_DECISIONS_OF, *values):
            found.setdefault(asked[place], []).append(_candidate(candidate))
        return found

    def candidates(self, decisions: Collection[DecisionId]) -> dict[DecisionId, Candidate]:
        """See the port."""
        wanted = sorted(decisions)
        if not wanted:
            return {}
        return {row[0]: _candidate(row) for row in self._rows(_CANDIDATES, wanted, wanted[0], wanted[-1])}

    def naming_shoppers(self, spans: Mapping[bytes, tuple[datetime, datetime]]) -> list[RewardEvent]:
        """See the port."""
        since, until = [span[0] for span in spans.values()], [span[1] for span in spans.values()]
        return self._events(_NAMING_SHOPPERS, list(spans), since, until)

    def naming_orders(self, most: Mapping[bytes, int]) -> dict[bytes, list[RewardEvent]]:
        """See the port."""
        found: dict[bytes, list[RewardEvent]] = {}
        for event in self._events(_NAMING_ORDERS, list(most.keys()), list(most.values())):
            if event.order is not None:
                found.setdefault(event.order, []).append(event)
        return {order: events for order, events in found.items() if len(events) <= most[order]}

    def linking(self, decisions: Collection[DecisionId]) -> list[RewardEvent]:
        """See the port."""
        return self._events(_LINKING, list(decisions))

    def amended(self, rewards: Collection[RewardKey]) -> list[RewardEvent]:
        """See the port."""
        return self._events(_AMENDED, *_keys(rewards))

    def amendments(self, rewards: Collection[RewardKey]) -> list[RewardEvent]:
        """See the port."""
        return self._events(_AMENDMENTS, *_keys(rewards))

    def _events(self, query: str, *values: object) -> list[RewardEvent]:
        return [reward_event(row) for row in self._rows(_over(query, self._seen), *values)]

    def _rows(self, query: SQL | Composed, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(query, values).fetchall()


class PostgresCrediting(PostgresAddresses):
    """Crediting within the sequencer's transaction.

    Args:
        next_position: Gives the next dense ledger position.
        any_addressed: Whether the ledger held any event that names a shopper or an order when the pass began.
    """

    _seen = _SEQUENCED

    def __init__(self, connection: Connection, next_position: Callable[[], int], *, any_addressed: bool) -> None:
        super().__init__(connection)
        self._next_position = next_position
        self._any_addressed = any_addressed

    def taken(self, entries: Sequence[LedgerEntry]) -> None:
        """Told of the events that get a position in this pass, which may have come since it began."""
        self._any_addressed |= any(entry.event.subject or entry.event.order for entry in entries)

    def naming_shoppers(self, spans: Mapping[bytes, tuple[datetime, datetime]]) -> list[RewardEvent]:
        """See the port. Asked in every pass: where nobody sends such events, nothing is looked up."""
        return super().naming_shoppers(spans) if self._any_addressed else []

    def linking(self, decisions: Collection[DecisionId]) -> list[RewardEvent]:
        """See the port. As above."""
        return super().linking(decisions) if self._any_addressed else []

    def credits(self, rewards: Collection[RewardKey]) -> dict[RewardKey, dict[DecisionId, int]]:
        """See the port."""
        found: dict[RewardKey, dict[DecisionId, int]] = {}
        for source, reward_id, decision, parts in self._rows(_CREDITS, *_keys(rewards)):
            if parts:
                found.setdefault((source, reward_id), {})[decision] = parts
        return found

    def credit(self, changes: Sequence[Credit]) -> None:
        """See the port."""
        if not changes:
            return
        positions: dict[RewardKey, int] = {}
        for change in changes:
            if change.reward not in positions:
                positions[change.reward] = self._next_position()
        values = [
            [positions[change.reward] for change in changes],
            *_keys(change.reward for change in changes),
            [change.decision_id for change in changes],
            [change.parts for change in changes],
        ]
        self._connection.execute(_CREDIT, values)


def _keys(rewards: Collection[RewardKey] | Iterator[RewardKey]) -> tuple[list[str], list[str]]:
    keys = list(rewards)
    return [source for source, _ in keys], [name for _, name in keys]


def _candidate(row: Sequence[Any]) -> Candidate:
    decision_id, policy, manifest_sha, decided_at, closes_at, activated = row
    return Candidate(
        decision_id=decision_id,
        policy=policy,
        manifest_sha=manifest_sha,
        decided_at=decided_at,
        closes_at=closes_at,
        activated=activated,
    )
