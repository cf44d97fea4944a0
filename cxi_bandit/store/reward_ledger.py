"""The reward ledger in PostgreSQL: deduplicated, appended and queued for the sequencer in one statement."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC
from typing import Any, Final

import msgspec
from psycopg.sql import SQL

from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardStatus
from cxi_bandit.store.connection import LONG, Connection, Database

# The key decides: who inserts it writes the event, all others wait for that transaction's end. Keys are sorted so that
# two batches with keys in common never deadlock; events keep their order of receipt. Returns the keys that were new.
_APPEND: Final = """
WITH given AS MATERIALIZED (
  SELECT * FROM unnest(
    %b::text[], %b::text[], %b::bytea[], %b::uuid[], %b::text[], %b::float8[],
    %b::timestamptz[], %b::text[], %b::text[], %b::timestamptz[], %b::text[]
  ) WITH ORDINALITY AS given (
    source, reward_id, digest, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined,
    place
  )
), fresh AS (
  INSERT INTO reward_keys (source, reward_id, digest)
  SELECT source, reward_id, digest FROM given ORDER BY source, reward_id
  ON CONFLICT (source, reward_id) DO NOTHING
  RETURNING source, reward_id
), written AS (
  INSERT INTO reward_ledger (
    source, reward_id, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined
  )
  SELECT source, reward_id, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined
  FROM given JOIN fresh USING (source, reward_id) ORDER BY place
  RETURNING received_at, entry_id
), queued AS (
  INSERT INTO ledger_inbox (received_at, entry_id) SELECT received_at, entry_id FROM written
)
SELECT source, reward_id FROM fresh
"""

_STANDING: Final = """
SELECT known.source, known.reward_id, known.digest
FROM reward_keys known JOIN unnest(%b::text[], %b::text[]) AS given (source, reward_id) USING (source, reward_id)
"""

ENTRY_COLUMNS: Final = SQL(
    "l.source, l.reward_id, l.decision_id, l.metric, l.value, l.occurred_at, l.corrects, l.retracts, "
    "l.received_at, p.position, l.quarantined"
)
"""What `ledger_entry` reads: of the ledger as l, its positions as p."""

_HISTORY: Final = SQL("""
SELECT {}
FROM reward_ledger l LEFT JOIN ledger_positions p USING (entry_id)
WHERE l.decision_id = %b ORDER BY l.received_at, l.entry_id
""").format(ENTRY_COLUMNS)

_KNOWN: Final = SQL("""
SELECT {}
FROM reward_ledger l JOIN ledger_positions p USING (entry_id)
WHERE l.decision_id = ANY(%b::uuid[]) AND p.position <= %b::bigint ORDER BY p.position
""").format(ENTRY_COLUMNS)

_QUARANTINE: Final = SQL("""
SELECT l.entry_id, {}
FROM reward_ledger l LEFT JOIN ledger_positions p USING (entry_id)
WHERE l.quarantined IS NOT NULL AND l.entry_id > %(after)s
  AND (%(source)s::text IS NULL OR l.source = %(source)s)
  AND (%(metric)s::text IS NULL OR l.metric = %(metric)s)
  AND (%(reward_id)s::text IS NULL OR l.reward_id = %(reward_id)s)
ORDER BY l.entry_id LIMIT %(limit)s
""").format(ENTRY_COLUMNS)

_Key = tuple[Source, RewardId]


class PostgresRewardLedger:
    """RewardLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entries: Sequence[LedgerEntry]) -> list[RewardStatus]:
        """See the port."""
        digests = [_digest(entry.event) for entry in entries]
        first: dict[_Key, int] = {}
        for index, entry in enumerate(entries):
            first.setdefault(_key(entry.event), index)
        if not first:
            return []
        with self._database.connection() as connection:
            fresh = _append(connection, [(entries[index], digests[index]) for index in first.values()])
            standing = {key: digests[index] for key, index in first.items()}
            if len(fresh) < len(first):
                standing |= _standing(connection, [key for key in first if key not in fresh])
        statuses = []
        for index, (entry, digest) in enumerate(zip(entries, digests, strict=True)):
            key = _key(entry.event)
            if key in fresh and first[key] == index:
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
            return [(row[0], ledger_entry(row[1:])) for row in cursor]

    def history(self, decision: DecisionId) -> list[LedgerEntry]:
        """See the port."""
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_HISTORY, [decision])
            return [ledger_entry(row) for row in cursor]

    def known_at(self, decisions: Collection[DecisionId], ledger_cut: int) -> dict[DecisionId, list[LedgerEntry]]:
        """See the port."""
        found: dict[DecisionId, list[LedgerEntry]] = {}
        with self._database.snapshot() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_KNOWN, [list(decisions), ledger_cut])
            for row in cursor:
                entry = ledger_entry(row)
                found.setdefault(entry.event.decision_id, []).append(entry)
        return found


def ledger_entry(row: Sequence[Any]) -> LedgerEntry:
    """The entry of a row: the event's eight columns, received_at, position, quarantined."""
    source, reward_id, decision_id, metric, value, occurred_at, corrects, retracts, received_at, position, why = row
    event = RewardEvent(
        source=source,
        reward_id=reward_id,
        decision_id=decision_id,
        metric=metric,
        value=value,
        occurred_at=occurred_at,
        corrects=corrects,
        retracts=retracts,
    )
    return LedgerEntry(event=event, received_at=received_at, position=position, quarantined=why)


def _append(connection: Connection, rows: Sequence[tuple[LedgerEntry, bytes]]) -> set[_Key]:
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
    ]
    return {(source, reward_id) for source, reward_id in connection.execute(_APPEND, values)}


def _standing(connection: Connection, keys: Sequence[_Key]) -> Iterator[tuple[_Key, bytes]]:
    known = connection.execute(_STANDING, [[source for source, _ in keys], [name for _, name in keys]])
    for source, reward_id, digest in known:
        yield (source, reward_id), digest


def _key(event: RewardEvent) -> _Key:
    return event.source, event.reward_id


def _digest(event: RewardEvent) -> bytes:
    """Equal exactly for equal events: times as instants, whatever zone they were written in."""
    value = None if event.value is None else (float(event.value) + 0.0).hex()  # -0.0 equals 0.0
    parts = (
        event.source, event.reward_id, event.decision_id.hex, event.metric, value,
        event.occurred_at.astimezone(UTC).isoformat(), event.corrects, event.retracts,
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts)).digest()
