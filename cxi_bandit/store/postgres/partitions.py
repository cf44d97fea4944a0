"""Daily partitions of the decision log: made ahead of time, dropped whole by retention.

A day without a partition is no failure: its rows land in the default partition, and move when their day is made.
"""

import time
from datetime import UTC, date, datetime, timedelta
from itertools import count, takewhile
from typing import Final

from psycopg.sql import SQL, Composed, Identifier, Literal

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import DecisionId, lowest_id_at
from cxi_bandit.store.postgres.connection import LONG, Connection, Database

PARTITION_PREFIX: Final = "decisions_"
"""Partitions of the decision log are called by this and their day."""

DAYS_AHEAD: Final = 14

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('cxi_bandit.partitions', 0))"
# A table lock that is waited for blocks everybody behind it: rather give up, and let the next round try.
_IMPATIENT: Final = "SELECT set_config('lock_timeout', '2s', true)"
_VERY_IMPATIENT: Final = "SELECT set_config('lock_timeout', '100ms', true)"
_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 0.5

_DAYS: Final = """
SELECT substr(c.relname, 11) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'decisions'::regclass AND c.relname ~ '^decisions_[0-9]{8}$' ORDER BY 1
"""
_STRAYS: Final = "SELECT count(*) FROM decisions_default WHERE decision_id >= %s AND decision_id < %s"
_MAKE: Final = SQL("""
CREATE TABLE {partition} (LIKE decisions INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES);
ALTER TABLE {partition} ADD CONSTRAINT day CHECK (decision_id >= {low} AND decision_id < {high})
""")
_MOVE: Final = SQL("""
LOCK TABLE decisions_default IN ACCESS EXCLUSIVE MODE;
WITH strays AS (
  DELETE FROM decisions_default WHERE decision_id >= {low} AND decision_id < {high} RETURNING *
)
INSERT INTO {partition} SELECT * FROM strays
""")
# Attaching, unlike CREATE TABLE ... PARTITION OF, lets the other partitions be written meanwhile.
_ATTACH: Final = SQL("""
ALTER TABLE decisions ATTACH PARTITION {partition} FOR VALUES FROM ({low}) TO ({high});
ALTER TABLE {partition} DROP CONSTRAINT day
""")
_UNFINISHED: Final = "SELECT EXISTS (SELECT FROM open_windows WHERE decision_id >= %s AND decision_id < %s)"
_ALONE: Final = "LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE"
_DROP: Final = SQL("ALTER TABLE decisions DETACH PARTITION {partition}; DROP TABLE {partition}")
_FORGET: Final = (
    "DELETE FROM activations WHERE decision_id >= %s AND decision_id < %s",
    "DELETE FROM idempotency_keys WHERE decision_id >= %s AND decision_id < %s",
    "DELETE FROM set_asides WHERE decision_id >= %s AND decision_id < %s",
)
_PRUNE: Final = "DELETE FROM idempotency_keys WHERE created_at < %s"


class Partitions:
    """Upkeep of the decision log; any process may do it, one at a time does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def days(self) -> list[date]:
        """The days that have a partition."""
        with self._database.connection() as connection:
            return _days(connection)

    def ensure(self, today: date, days_ahead: int = DAYS_AHEAD) -> list[date]:
        """Makes the partitions from `today` to `days_ahead` days later that are missing; returns their days.

        Raises:
            Unavailable: Writers were too busy to let a table be attached; nothing is lost, call again.
        """
        made = []
        there = set(self.days())
        for day in (today + timedelta(days=ahead) for ahead in range(days_ahead + 1)):
            if day in there:
                continue
            with self._database.transaction(LONG) as connection:
                connection.execute(_LOCK)
                if day not in _days(connection):
                    _make(connection, day)
                    made.append(day)
        return made

    def drop_before(self, day: date) -> list[date]:
        """Drops whole days before `day`; returns them. A day with a window still open stays.

        Detaching needs the log for itself for a moment, and everybody queues behind whoever waits for that: so it waits
        for a tenth of a second at most, and tries again when the queue has gone.

        Raises:
            Unavailable: Long readers left no gap; days already dropped stay dropped, call again.
        """
        dropped = []
        for old in takewhile(lambda known: known < day, self.days()):
            for attempt in count(1):
                try:
                    if self._drop(old):
                        dropped.append(old)
                    break
                except Unavailable:
                    if attempt == _ATTEMPTS:
                        raise
                    time.sleep(_PAUSE_SECONDS)
        return dropped

    def _drop(self, day: date) -> bool:
        with self._database.transaction(LONG) as connection:
            connection.execute(_LOCK)
            if day not in _days(connection) or _unfinished(connection, day):
                return False
            connection.execute(_VERY_IMPATIENT)
            connection.execute(_ALONE)
            if _unfinished(connection, day):
                return False  # one was opened just now: a clock far behind, or a decision that waited on disk
            connection.execute(_DROP.format(partition=Identifier(_name(day))))
            return True

    def prune_idempotency_keys(self, before: datetime) -> int:
        """Forgets keys first used before `before`; returns how many."""
        with self._database.transaction(LONG) as connection:
            return connection.execute(_PRUNE, [before]).rowcount


def _make(connection: Connection, day: date) -> None:
    connection.execute(_IMPATIENT)
    low, high = _span(day)

    def filled(statement: SQL) -> Composed:
        return statement.format(partition=Identifier(_name(day)), low=Literal(str(low)), high=Literal(str(high)))

    connection.execute(filled(_MAKE))
    row = connection.execute(_STRAYS, [low, high]).fetchone()
    if row is not None and row[0]:
        connection.execute(filled(_MOVE))
    connection.execute(filled(_ATTACH))


def _unfinished(connection: Connection, day: date) -> bool:
    row = connection.execute(_UNFINISHED, _span(day)).fetchone()
    return row is not None and bool(row[0])


def _days(connection: Connection) -> list[date]:
    return [datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC).date() for (name,) in connection.execute(_DAYS)]


def _name(day: date) -> str:
    return f"{PARTITION_PREFIX}{day:%Y%m%d}"


def _span(day: date) -> tuple[DecisionId, DecisionId]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return lowest_id_at(start), lowest_id_at(start + timedelta(days=1))
