"""The reward ledger in PostgreSQL: deduplicated, appended and queued for the sequencer in one statement."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any, Final

import msgspec
from psycopg.sql import SQL

from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardKey, RewardStatus
from cxi_bandit.store.postgres.addresses import EVENT_COLUMNS, PostgresAddresses, reward_event
from cxi_bandit.store.postgres.connection import LONG, Connection, Database

# The key decides: who inserts it writes the event, all others wait for that transaction's end. Keys are sorted so that
# two batches with keys in common never deadlock; events keep their order of receipt. Returns the keys that were known.
_APPEND: Final = """
WITH given AS MATERIALIZED (
  SELECT * FROM unnest(
    %b::text[], %b::text[], %b::bytea[], %b::uuid[], %b::text[], %b::float8[],
    %b::timestamptz[], %b::text[], %b::text[], %b::timestamptz[], %b::text[], %b::bytea[], %b::bytea[]
  ) WITH ORDINALITY AS given (
    source, reward_id, digest, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined,
    subject, order_key, place
  )
), fresh AS (
  INSERT INTO reward_keys (source, reward_id, digest)
  SELECT source, reward_id, digest FROM given ORDER BY source, reward_id
  ON CONFLICT (source, reward_id) DO NOTHING
  RETURNING source, reward_id
), written AS (
  INSERT INTO reward_ledger (
    source, reward_id, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined,
    subject, order_key
  )
  SELECT source, reward_id, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined,
    subject, order_key
  FROM given JOIN fresh USING (source, reward_id) ORDER BY place
  RETURNING received_at, entry_id
), queued AS (
  INSERT INTO ledger_inbox (received_at, entry_id) SELECT received_at, entry_id FROM written
)
SELECT source, reward_id FROM given
WHERE NOT EXISTS (SELECT FROM fresh WHERE fresh.source = given.source AND fresh.reward_id = given.reward_id)
"""

_STANDING: Final = """
SELECT known.source, known.reward_id, known.digest
FROM reward_keys known JOIN unnest(%b::text[], %b::text[]) AS given (source, reward_id) USING (source, reward_id)
"""

# A decision has the entries that name it and those it is credited with: of a credit the latest row counts, and only if
# any part is left. What hangs on a row is looked up row by row, OFFSET 0 keeps it so: a plan made while the ledger was
# short, and kept, must not read it whole once it is long.
_ENTRIES: Final = """
SELECT l.decision_id, l.entry_id, l.received_at, p.position, l.quarantined, 1, {event}
FROM reward_ledger l
{if_placed} JOIN LATERAL (SELECT position FROM ledger_positions WHERE entry_id = l.entry_id OFFSET 0) p ON true
WHERE l.decision_id = ANY(%(decisions)b::uuid[]) {until}
UNION ALL
SELECT c.decision_id, l.entry_id, l.received_at, c.position, l.quarantined, c.parts, {event}
FROM (
  SELECT DISTINCT ON (p.decision_id, p.entry_id) p.decision_id, p.entry_id, p.position, p.parts FROM credits p
  WHERE p.decision_id = ANY(%(decisions)b::uuid[]) {until}
  ORDER BY p.decision_id, p.entry_id, p.position DESC
) c CROSS JOIN LATERAL (SELECT * FROM reward_ledger WHERE entry_id = c.entry_id OFFSET 0) l
WHERE c.parts > 0
"""
_BY_POSITION: Final = " ORDER BY 4"
_BY_RECEIPT: Final = " ORDER BY 3, 2"
_ALWAYS: Final = SQL("")

PLACED: Final = SQL(_ENTRIES + _BY_POSITION).format(event=EVENT_COLUMNS, if_placed=_ALWAYS, until=_ALWAYS)
"""What `decisions` have, by ledger position; `by_decision` reads its rows."""

_KNOWN: Final = SQL(_ENTRIES + _BY_POSITION).format(
    event=EVENT_COLUMNS, if_placed=_ALWAYS, until=SQL("AND p.position <= %(cut)b::bigint")
)

_HISTORY: Final = SQL(_ENTRIES + _BY_RECEIPT).format(event=EVENT_COLUMNS, if_placed=SQL("LEFT"), until=_ALWAYS)

_QUARANTINE: Final = SQL("""
SELECT l.entry_id, l.received_at, p.position, l.quarantined, {event}
FROM reward_ledger l LEFT JOIN ledger_positions p USING (entry_id)
WHERE l.quarantined IS NOT NULL AND l.entry_id > %(after)s
  AND (%(source)s::text IS NULL OR l.source = %(source)s)
  AND (%(metric)s::text IS NULL OR l.metric = %(metric)s)
  AND (%(reward_id)s::text IS NULL OR l.reward_id = %(reward_id)s)
ORDER BY l.entry_id LIMIT %(limit)s
""").format(event=EVENT_COLUMNS)


class PostgresRewardLedger:
    """RewardLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entries: Sequence[LedgerEntry]) -> list[RewardStatus]:
        """See the port."""
        digests = [_digest(entry.event) for entry in entries]
        first: dict[RewardKey, int] = {}
        for index, entry in enumerate(entries):
            first.setdefault(entry.event.key, index)
        if not first:
            return []
        with self._database.connection() as connection:
            known = _append(connection, [(entries[index], digests[index]) for index in first.values()])
            standing = {key: digests[index] for key, index in first.items()}
            if known:
                standing |= _standing(connection, list(known))
        statuses = []
        for index, (entry, digest) in enumerate(zip(entries, digests, strict=True)):
            key = entry.event.key
            if key not in known and first[key] == index:
                statuses.append(RewardStatus.ACCEPTED)
            else:
                statuses.append(RewardStatus.DUPLICATE if standing[key] == digest else RewardStatus.CONFLICT)
        return statuses

    def quarantine(
        self,
        after: int,
        limit: int,
        *,
        source: Source | None = None,
        metric: str | None = None,
        reward_id: RewardId | None = None,
    ) -> list[tuple[int, LedgerEntry]]:
        """See the port."""
        asked = {"after": after, "limit": limit, "source": source, "metric": metric, "reward_id": reward_id}
        with self._database.transaction(LONG) as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_QUARANTINE, asked)
            return [
                (
                    number,
                    LedgerEntry(event=reward_event(event), received_at=received_at, position=position, quarantined=why),
                )
                for number, received_at, position, why, *event in cursor
            ]

    def history(self, decision: DecisionId) -> list[LedgerEntry]:
        """See the port."""
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_HISTORY, {"decisions": [decision]})
            return by_decision(cursor).get(decision, [])

    def known_at(self, decisions: Collection[DecisionId], ledger_cut: int) -> dict[DecisionId, list[LedgerEntry]]:
        """See the port."""
        with self._database.snapshot() as connection:
            return known_at(connection, decisions, ledger_cut)

    @contextmanager
    def addresses(self) -> Iterator[PostgresAddresses]:
        """See the port."""
        with self._database.connection() as connection:
            yield PostgresAddresses(connection)


def known_at(
    connection: Connection, decisions: Collection[DecisionId], ledger_cut: int
) -> dict[DecisionId, list[LedgerEntry]]:
    """See the port. In a snapshot."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_KNOWN, {"decisions": list(decisions), "cut": ledger_cut})
        return by_decision(cursor)


def by_decision(rows: Iterable[Sequence[Any]]) -> dict[DecisionId, list[LedgerEntry]]:
    """The entries of rows selected as `PLACED`, by the decision that has them."""
    found: dict[DecisionId, list[LedgerEntry]] = {}
    for decision, _, received_at, position, why, parts, *event in rows:
        entry = LedgerEntry(
            event=reward_event(event), received_at=received_at, position=position, quarantined=why, parts=parts
        )
        found.setdefault(decision, []).append(entry)
    return found


def _append(connection: Connection, rows: Sequence[tuple[LedgerEntry, bytes]]) -> set[RewardKey]:
    events = [entry.event for entry, _ in rows]
    values = [
        [event.source for event in events],
        [event.reward_id for event in events],
        [digest for _, digest in rows],
        [event.decision_id for event in events],
        [event.metric for event in events],
        [None if event.value is None else float(event.value) for event in events],
        [event.occurred_at for event in events],
        [event.corrects for event in events],
        [event.retracts for event in events],
        [entry.received_at for entry, _ in rows],
        [entry.quarantined for entry, _ in rows],
        [event.subject for event in events],
        [event.order for event in events],
    ]
    return {(source, reward_id) for source, reward_id in connection.execute(_APPEND, values)}


def _standing(connection: Connection, keys: Sequence[RewardKey]) -> Iterator[tuple[RewardKey, bytes]]:
    known = connection.execute(_STANDING, [[source for source, _ in keys], [name for _, name in keys]])
    for source, reward_id, digest in known:
        yield (source, reward_id), digest


def _digest(event: RewardEvent) -> bytes:
    """Equal exactly for equal events: times as instants, whatever zone they were written in."""
    value = None if event.value is None else (float(event.value) + 0.0).hex()  # -0.0 equals 0.0
    decision = None if event.decision_id is None else event.decision_id.hex
    parts: tuple[str | bytes | None, ...] = (
        event.source, event.reward_id, decision, event.metric, value,
        event.occurred_at.astimezone(UTC).isoformat(), event.corrects, event.retracts,
    )  # fmt: skip
    if event.subject is not None or event.order is not None:
        # Others keep the digest they had before there were such events.
        parts += (event.subject, event.order)
    return hashlib.sha256(msgspec.json.encode(parts)).digest()
