"""What is kept no longer goes: whole days of decisions with all that hangs on them, and rewards nobody waits for.

Days are dropped as partitions, which takes milliseconds and never makes writers wait for long. The rest is deleted in
small pieces, each a transaction of its own, so that it may stop anywhere and go on later.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Any, Final, LiteralString, NamedTuple

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, lowest_id_at
from cxi_bandit.store.postgres.connection import LONG, Connection, Database
from cxi_bandit.store.postgres.partitions import Partitions

_CHUNK: Final = 5000
_LONGEST_WINDOW: Final = timedelta(days=90)
"""The longest horizon that a manifest may declare."""

# Strays of days that never had a partition. One with a window still open stays, as it does in a partition.
_STRAYS: Final = """
WITH old AS (
  SELECT decision_id FROM decisions_default d WHERE decision_id < %b::uuid
    AND NOT EXISTS (SELECT FROM open_windows w WHERE w.decision_id = d.decision_id) LIMIT %b::bigint
)
DELETE FROM decisions_default d USING old WHERE d.decision_id = old.decision_id
"""
_FIRST: Final = "SELECT decision_id FROM decisions ORDER BY decision_id LIMIT 1"

# A reward goes with its key: told once more, it is a reward for a decision that is not there, and counts for nothing.
_REMOVE_REWARDS: Final[LiteralString] = """
, gone AS (
  DELETE FROM reward_ledger l USING old WHERE l.entry_id = old.entry_id
  RETURNING l.entry_id, l.received_at, l.source, l.reward_id
), placed AS (
  DELETE FROM ledger_positions p USING gone WHERE p.entry_id = gone.entry_id
), queued AS (
  DELETE FROM ledger_inbox i USING gone WHERE i.received_at = gone.received_at AND i.entry_id = gone.entry_id
), keys AS (
  DELETE FROM reward_keys k USING gone WHERE k.source = gone.source AND k.reward_id = gone.reward_id
)
SELECT count(*) FROM gone
"""
_REWARDS: Final = f"""
WITH old AS (
  SELECT entry_id FROM reward_ledger WHERE decision_id < %b::uuid ORDER BY decision_id LIMIT %b::bigint
){_REMOVE_REWARDS}"""  # noqa: S608 - a part of ours
_HANGING: Final = tuple(
    f"""
WITH old AS (SELECT decision_id FROM {table} WHERE decision_id < %b::uuid ORDER BY decision_id LIMIT %b::bigint)
DELETE FROM {table} t USING old WHERE t.decision_id = old.decision_id
"""  # noqa: S608 - as above
    for table in ("activations", "idempotency_keys", "set_asides")
)
# With the last decision that had a part of it, what names a shopper or an order goes too.
_CREDITS: Final = """
WITH old AS (
  SELECT entry_id, decision_id, position FROM credits WHERE decision_id < %b::uuid ORDER BY decision_id LIMIT %b::bigint
)
DELETE FROM credits t USING old
WHERE t.entry_id = old.entry_id AND t.decision_id = old.decision_id AND t.position = old.position
RETURNING t.entry_id
"""
_UNHELD: Final = f"""
WITH old AS (
  SELECT l.entry_id FROM reward_ledger l WHERE l.entry_id = ANY(%b::int8[]) AND l.decision_id IS NULL
    AND NOT EXISTS (SELECT FROM credits c WHERE c.entry_id = l.entry_id)
){_REMOVE_REWARDS}"""  # noqa: S608 - as above

# Each entry is looked at once, when it has become old: the bookmark says how far that has come.
_BOOKMARK: Final = "SELECT coalesce(max(value), 0) FROM upkeep WHERE name = %b::text"
_PAGE: Final = """
SELECT entry_id, received_at FROM reward_ledger WHERE entry_id > %b::bigint ORDER BY entry_id LIMIT %b::bigint
"""
_PARKED: Final = f"""
WITH old AS (
  SELECT l.entry_id FROM reward_ledger l
  WHERE l.entry_id > %b::bigint AND l.entry_id <= %b::bigint AND l.decision_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM decisions d WHERE d.decision_id = l.decision_id)
){_REMOVE_REWARDS}"""  # noqa: S608 - as above
_UNATTRIBUTED: Final = f"""
WITH old AS (
  SELECT l.entry_id FROM reward_ledger l
  WHERE l.entry_id > %b::bigint AND l.entry_id <= %b::bigint AND l.decision_id IS NULL
    AND NOT EXISTS (SELECT FROM credits c WHERE c.entry_id = l.entry_id)
){_REMOVE_REWARDS}"""  # noqa: S608 - as above
_TURN: Final = """
INSERT INTO upkeep (name, value) VALUES (%b::text, %b::bigint)
ON CONFLICT (name) DO UPDATE SET value = greatest(upkeep.value, excluded.value)
"""


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """What went.

    Attributes:
        rewards: Of decisions that went.
        parked: Rewards whose decision never came.
        finished: Whether nothing is left to drop now.
    """

    days: list[date]
    rewards: int
    parked: int
    finished: bool


class _Budget(NamedTuple):
    until: float

    @property
    def spent(self) -> bool:
        return time.monotonic() > self.until


class Retention:
    """Drops what is older than it is to be kept. Any process may do it; several at once do no harm."""

    def __init__(self, database: Database, partitions: Partitions) -> None:
        self._database = database
        self._partitions = partitions

    def drop(self, now: datetime, keep: timedelta | None, keep_parked: timedelta, seconds: float = 2.0) -> Dropped:
        """Drops whole days that ended more than `keep` ago, and parked rewards received more than `keep_parked` ago.

        One that names a shopper or an order stays for the longest window longer: a decision that may have it can be
        open for so long.

        A day with a window still open stays, and so does all that hangs on its decisions. Outcomes stay for good, as
        positions must; what learned from a day that is gone can no longer be derived again (`unverifiable: expired`).

        Args:
            keep: None keeps decisions for ever.
            seconds: About how long it may take; it goes on where it was the next time.

        Raises:
            Unavailable: The database is away, or readers and writers left no gap to drop a day in; call again.
        """
        budget = _Budget(time.monotonic() + seconds)
        days: list[date] = []
        rewards, finished = 0, True
        if keep is not None:
            first_kept = (now - keep).astimezone(UTC).date()
            days = self._partitions.drop_before(first_kept)
            rewards, finished = self._forget(first_kept, budget)
        parked, through = self._drop_parked("parked", _PARKED, now - keep_parked, budget)
        before = now - keep_parked - _LONGEST_WINDOW
        unattributed, done = self._drop_parked("unattributed", _UNATTRIBUTED, before, budget)
        return Dropped(days=days, rewards=rewards, parked=parked + unattributed, finished=finished and through and done)

    def _forget(self, first_kept: date, budget: _Budget) -> tuple[int, bool]:
        """All that hangs on decisions that are gone; how many rewards, and whether that was all of it."""
        low = lowest_id_at(datetime(first_kept.year, first_kept.month, first_kept.day, tzinfo=UTC))
        if not self._repeat(lambda connection: connection.execute(_STRAYS, [low, _CHUNK]).rowcount, budget)[1]:
            return 0, False
        bound = self._first_left(low)
        for statement in _HANGING:

            def hanging(connection: Connection, statement: LiteralString = statement) -> int:
                return connection.execute(statement, [bound, _CHUNK]).rowcount

            if not self._repeat(hanging, budget)[1]:
                return 0, False
        rewards = 0

        def credited(connection: Connection) -> int:
            nonlocal rewards
            gone = [entry for (entry,) in connection.execute(_CREDITS, [bound, _CHUNK])]
            rewards += _count(connection, _UNHELD, gone)
            return len(gone)

        if not self._repeat(credited, budget)[1]:
            return rewards, False
        named, finished = self._repeat(lambda connection: _count(connection, _REWARDS, bound, _CHUNK), budget)
        return rewards + named, finished

    def _first_left(self, low: DecisionId) -> DecisionId:
        """The first decision still there, or `low`: what is before it hangs on nothing."""
        with self._database.connection() as connection:
            row = connection.execute(_FIRST).fetchone()
        return low if row is None else min(low, row[0])

    def _drop_parked(
        self, bookmark: str, statement: LiteralString, before: datetime, budget: _Budget
    ) -> tuple[int, bool]:
        dropped = 0
        while not budget.spent:
            with self._database.transaction(LONG) as connection:
                after = _count(connection, _BOOKMARK, bookmark)
                page: list[tuple[int, datetime]] = connection.execute(_PAGE, [after, _CHUNK]).fetchall()
                old = list(takewhile(lambda row: row[1] < before, page))
                if not old:
                    return dropped, True
                dropped += _count(connection, statement, after, old[-1][0])
                connection.execute(_TURN, [bookmark, old[-1][0]])
        return dropped, False

    def _repeat(self, once: Callable[[Connection], int], budget: _Budget) -> tuple[int, bool]:
        """Does a piece at a time until there is none left or no time; how much, and whether none is left."""
        done = 0
        while not budget.spent:
            with self._database.transaction(LONG) as connection:
                piece = once(connection)
            done += piece
            if piece < _CHUNK:
                return done, True
        return done, False


def _count(connection: Connection, query: LiteralString, *values: Any) -> int:  # noqa: ANN401 - parameters of any type
    row = connection.execute(query, values).fetchone()
    return 0 if row is None else int(row[0])
