"""The sequencer's pass in PostgreSQL: queues in, dense positions out, one transaction.

A queue row becomes visible when its transaction commits, however late that is, and stays until a pass has taken it.
Nothing is remembered between passes (no last id, no transaction id), so nothing can be skipped.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg.sql import SQL, Composed

from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import OutcomeRevision, OutcomeStanding, Settlement, Window
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.ports import Closure, OpenWindow
from cxi_bandit.store.postgres import decision_rows
from cxi_bandit.store.postgres.addresses import EVENT_COLUMNS, PostgresCrediting, reward_event
from cxi_bandit.store.postgres.connection import Connection
from cxi_bandit.store.postgres.decision_rows import NOTHING
from cxi_bandit.store.postgres.outage_hold import SignOfLife, latest_close
from cxi_bandit.store.postgres.reward_ledger import PLACED, by_decision

SEQUENCER_LOCK: Final = 0x6378695F736571  # "cxi_seq"
LEDGER: Final = "ledger"

# What every pass begins with, at once. Whether there are events that name a shopper or an order, the first entry of an
# index of such events alone tells.
_BEGIN: Final = """
SELECT now(), p.last_at, p.held_before, p.held_until,
  EXISTS (SELECT FROM (SELECT FROM reward_ledger WHERE subject >= '' ORDER BY subject, occurred_at LIMIT 1) named)
    OR EXISTS (SELECT FROM (SELECT FROM reward_ledger WHERE order_key >= '' ORDER BY order_key LIMIT 1) ordered),
  s.name, s.last_position
FROM (VALUES (true)) AS always (one) LEFT JOIN sequencer_passes p USING (one) LEFT JOIN sequences s ON true
"""

# Here and below what hangs on a row is looked up row by row, OFFSET 0 keeps it so: a plan made while the log was short,
# and kept, must not read it whole once it is long.
_TAKE: Final = SQL("""
WITH due AS (
  DELETE FROM ledger_inbox WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM ledger_inbox ORDER BY received_at, entry_id LIMIT %b::bigint
  )) RETURNING received_at, entry_id
), placed AS (
  INSERT INTO ledger_positions (position, entry_id)
  SELECT %b::bigint + row_number() OVER (ORDER BY received_at, entry_id), entry_id FROM due
  RETURNING position, entry_id
)
SELECT l.received_at, p.position, l.quarantined, {}
FROM placed p CROSS JOIN LATERAL (SELECT * FROM reward_ledger WHERE entry_id = p.entry_id OFFSET 0) l
ORDER BY p.position
""").format(EVENT_COLUMNS)

_OPEN: Final[LiteralString] = """
SELECT w.decision_id, coalesce(a.activated_at <= w.closes_at, false), s.reason
FROM open_windows w
LEFT JOIN LATERAL (SELECT activated_at FROM activations WHERE decision_id = w.decision_id OFFSET 0) a ON true
LEFT JOIN LATERAL (
  SELECT reason FROM set_asides WHERE decision_id = w.decision_id AND reason <> 'answered' OFFSET 0
) s ON true
"""
_MATURED: Final = f"""
{_OPEN} WHERE w.closes_at <= %b::timestamptz ORDER BY w.closes_at, w.decision_id LIMIT %b::bigint
"""
_STILL_OPEN: Final = f"{_OPEN} WHERE w.decision_id = ANY(%b::uuid[]) ORDER BY w.decision_id"

_LATEST: Final = """
SELECT DISTINCT ON (decision_id) policy, position, decision_id, revision, reward, metrics::text, counted, completed,
  standing, ledger_cut, closed_at
FROM outcomes WHERE decision_id = ANY(%b::uuid[]) ORDER BY decision_id, revision DESC
"""

_ADVANCE: Final[LiteralString] = """
INSERT INTO sequences (name, last_position) SELECT * FROM unnest(%b::text[], %b::int8[])
ON CONFLICT (name) DO UPDATE SET last_position = excluded.last_position
"""

# A first revision closes the window.
_APPEND: Final = f"""
WITH given AS MATERIALIZED (
  SELECT * FROM unnest(
    %b::text[], %b::int8[], %b::uuid[], %b::int4[], %b::float8[], %b::text[], %b::int4[], %b::bool[], %b::text[]
  ) AS given (policy, position, decision_id, revision, reward, metrics, counted, completed, standing)
), closed AS (
  DELETE FROM open_windows WHERE decision_id = ANY(ARRAY(SELECT decision_id FROM given WHERE revision = 0))
), advanced AS ({_ADVANCE})
INSERT INTO outcomes (
  policy, position, decision_id, revision, reward, metrics, counted, completed, standing, ledger_cut, closed_at
)
SELECT policy, position, decision_id, revision, reward, metrics::json, counted, completed, standing,
  %b::bigint, %b::timestamptz
FROM given
"""  # noqa: S608 - made of constants

_encode: Final = msgspec.json.Encoder().encode
_metrics: Final = msgspec.json.Decoder(dict[str, float]).decode


def outcomes_of(policy: PolicyName) -> str:
    """Name of the sequence of a policy's outcome positions."""
    return f"outcomes/{policy}"


class PostgresSequencing:
    """Sequencing on a connection that holds the sequencer's lock, in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with connection.cursor(binary=True) as cursor:
            # Planned anew each time: a plan kept from a short ledger would read a long one whole.
            found = cursor.execute(_BEGIN, prepare=False).fetchall()
        self._seen = SignOfLife(*found[0][:4])
        self._last: dict[str, int] = {name: last for *_, name, last in found if name is not None}
        self._moved: set[str] = set()
        self._looked = False
        self._addresses = PostgresCrediting(connection, lambda: self._advance(LEDGER, 1), any_addressed=found[0][4])

    @property
    def ledger_cut(self) -> int:
        """See the port."""
        return self._last.get(LEDGER, 0)

    @property
    def addresses(self) -> PostgresCrediting:
        """See the port."""
        return self._addresses

    def take_rewards(self, limit: int) -> list[LedgerEntry]:
        """See the port."""
        entries = [
            LedgerEntry(event=reward_event(event), received_at=received_at, position=position, quarantined=why)
            for received_at, position, why, *event in self._rows(_TAKE, limit, self.ledger_cut)
        ]
        self._advance(LEDGER, len(entries))
        self._addresses.taken(entries)
        return entries

    def matured(self, before: datetime, limit: int) -> list[OpenWindow]:
        """See the port."""
        self._looked = True
        return self._open(self._rows(_MATURED, latest_close(self._connection, self._seen, before), limit))

    def still_open(self, decisions: Collection[DecisionId]) -> list[OpenWindow]:
        """See the port."""
        return self._open(self._rows(_STILL_OPEN, list(decisions)))

    def closed(self, decisions: Collection[DecisionId]) -> dict[DecisionId, tuple[Window, OutcomeRevision]]:
        """See the port."""
        latest = {row[2]: outcome_revision(row) for row in self._rows(_LATEST, list(decisions))}
        known = decision_rows.windows(self._connection, latest)
        return {name: (known[name], revision) for name, revision in latest.items() if name in known}

    def entries_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, list[LedgerEntry]]:
        """See the port."""
        with self._connection.cursor(binary=True) as cursor:
            return by_decision(cursor.execute(PLACED, {"decisions": list(decisions)}))

    def append(self, closures: Sequence[Closure], at: datetime) -> list[OutcomeRevision]:
        """See the port."""
        if not closures:
            return []
        made = [
            closure.placed(self._advance(outcomes_of(closure.policy), 1), self.ledger_cut, at) for closure in closures
        ]
        settlements = [closure.settlement for closure in closures]
        values = [
            [revision.policy for revision in made],
            [revision.position for revision in made],
            [revision.decision_id for revision in made],
            [revision.revision for revision in made],
            [float(settlement.reward) for settlement in settlements],
            [_encode(settlement.metrics).decode() if settlement.metrics else NOTHING for settlement in settlements],
            [settlement.counted for settlement in settlements],
            [settlement.completed for settlement in settlements],
            [revision.standing.value for revision in made],
        ]
        self._connection.execute(_APPEND, [*values, *self._moves(), self.ledger_cut, at])
        return made

    def settle(self) -> None:
        """Writes down how far the sequences came, and that a pass was made, also where it had no time for windows."""
        if not self._looked:
            latest_close(self._connection, self._seen, self._seen.now)
        if self._moved:
            self._connection.execute(_ADVANCE, self._moves())

    def _advance(self, name: str, by: int) -> int:
        if by:
            self._last[name] = self._last.get(name, 0) + by
            self._moved.add(name)
        return self._last.get(name, 0)

    def _moves(self) -> tuple[list[str], list[int]]:
        """How far the sequences came that were not written down since they moved; whoever asks does it."""
        moved = sorted(self._moved)
        self._moved.clear()
        return moved, [self._last[name] for name in moved]

    def _rows(self, query: str | Composed, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(query, values).fetchall()

    def _open(self, rows: Sequence[tuple[Any, ...]]) -> list[OpenWindow]:
        known = decision_rows.windows(self._connection, [row[0] for row in rows])
        return [
            OpenWindow(known[name], activated, None if reason is None else OutcomeStanding(reason))
            for name, activated, reason in rows
            if name in known
        ]


def outcome_revision(row: Sequence[Any]) -> OutcomeRevision:
    """The revision of a row with all columns of the outcome log but `erased`, in order."""
    policy, position, decision_id, revision, reward, metrics, counted, completed, standing, ledger_cut, closed_at = row
    settlement = Settlement(reward=reward, metrics=_metrics(metrics), counted=counted, completed=completed)
    return OutcomeRevision(
        policy=policy,
        position=position,
        decision_id=decision_id,
        revision=revision,
        settlement=settlement,
        standing=OutcomeStanding(standing),
        ledger_cut=ledger_cut,
        closed_at=closed_at,
    )
