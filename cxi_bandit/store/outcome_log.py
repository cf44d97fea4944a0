"""The outcome log in PostgreSQL, as its readers see it, and erasure. The sequencer's pass is in `sequencing`."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import AsOf, LoggedOutcome, OutcomeMark, OutcomeRevision, TrainingRow
from cxi_bandit.engine.ports import Segment
from cxi_bandit.store import decision_rows
from cxi_bandit.store.closes import closes
from cxi_bandit.store.connection import LONG, Connection, Database
from cxi_bandit.store.replayed_rows import first_closes, mark
from cxi_bandit.store.sequencing import (
    LEDGER,
    SEQUENCER_LOCK,
    PostgresSequencing,
    outcome_revision,
    outcomes_of,
)

_TRY: Final = "SELECT pg_try_advisory_xact_lock(%s)"
_WAIT: Final = "SELECT pg_advisory_xact_lock(%s)"
_LAST: Final = "SELECT coalesce(max(last_position), 0) FROM sequences WHERE name = %s"
_LAST_ERASURE: Final = "SELECT coalesce(max(number), 0) FROM erasures WHERE policy = %s"

# What may be learned in a range, with the reward known at the cut: that of the latest late revision, if there is one.
# Erased positions come along; their decisions are read apart, by id, so that no plan ever scans the whole log.
_RANGE: Final = """
SELECT first.position, first.erased, first.decision_id, coalesce(late.reward, first.reward)
FROM outcomes first
LEFT JOIN LATERAL (
  SELECT reward FROM outcomes
  WHERE decision_id = first.decision_id AND revision > 0 AND ledger_cut <= %b::bigint
  ORDER BY revision DESC LIMIT 1
) late ON true
WHERE first.policy = %b::text AND first.position > %b::bigint AND first.position <= %b::bigint
  AND first.revision = 0 AND first.standing = 'learnable'
ORDER BY first.position
"""

_REVISIONS: Final = """
SELECT policy, position, decision_id, revision, reward, metrics::text, counted, completed, standing, ledger_cut,
  closed_at
FROM outcomes WHERE decision_id = %b ORDER BY revision
"""

_NUMBER: Final = """
INSERT INTO erasures (policy, number, erased_at)
SELECT %(policy)s, coalesce(max(number), 0) + 1, %(at)s FROM erasures WHERE policy = %(policy)s
RETURNING number
"""

# The outcome's place, cut, revision and standing stay: facts about the log, not about the shopper. They tell which
# models had learned it.
_EMPTY: Final = """
UPDATE outcomes SET erased = %s, decision_id = NULL, reward = NULL, metrics = NULL, counted = NULL, completed = NULL
WHERE policy = %s AND decision_id = ANY(%s)
"""

# `reward_keys` stay: a webhook delivered once more must not bring an erased reward back.
_REMOVE: Final = (
    "DELETE FROM credits WHERE decision_id = ANY(%s)",
    "DELETE FROM ledger_inbox i USING reward_ledger l WHERE i.entry_id = l.entry_id AND l.decision_id = ANY(%s)",
    "DELETE FROM reward_ledger WHERE decision_id = ANY(%s)",
    "DELETE FROM idempotency_keys WHERE decision_id = ANY(%s)",
    "DELETE FROM open_windows WHERE decision_id = ANY(%s)",
    "DELETE FROM decisions WHERE decision_id = ANY(%s)",
    "DELETE FROM activations WHERE decision_id = ANY(%s)",
    "DELETE FROM set_asides WHERE decision_id = ANY(%s)",
)

# An order that only these decisions' rewards tied is theirs: what names it alone goes with them.
_UNTIE: Final = """
WITH tied AS (
  SELECT DISTINCT order_key FROM reward_ledger
  WHERE decision_id = ANY(%(names)s) AND order_key IS NOT NULL AND corrects IS NULL AND retracts IS NULL
), orders AS (
  SELECT order_key FROM tied WHERE NOT EXISTS (
    SELECT FROM reward_ledger o WHERE o.order_key = tied.order_key AND coalesce(o.corrects, o.retracts) IS NULL
      AND (o.subject IS NOT NULL OR o.decision_id <> ALL(%(names)s))
  )
), gone AS (
  DELETE FROM reward_ledger l USING orders
  WHERE l.order_key = orders.order_key AND l.decision_id IS NULL AND l.subject IS NULL
  RETURNING entry_id, received_at
), uncredited AS (
  DELETE FROM credits c USING gone WHERE c.entry_id = gone.entry_id
)
DELETE FROM ledger_inbox i USING gone WHERE i.received_at = gone.received_at AND i.entry_id = gone.entry_id
"""

# Orders that an event ties to the shopper, or to one of the shopper's decisions.
_FORGET: Final = """
WITH own AS (
  SELECT decision_id FROM decisions WHERE subject = %(subject)s
), orders AS (
  SELECT order_key FROM reward_ledger WHERE subject = %(subject)s AND corrects IS NULL AND retracts IS NULL
  UNION
  SELECT l.order_key FROM reward_ledger l JOIN own USING (decision_id)
  WHERE l.order_key IS NOT NULL AND l.corrects IS NULL AND l.retracts IS NULL
), gone AS (
  DELETE FROM reward_ledger l
  WHERE l.received_at <= %(at)s AND (l.subject = %(subject)s OR (
    l.order_key IN (SELECT order_key FROM orders) AND l.decision_id IS NULL AND l.subject IS NULL
    AND NOT EXISTS (
      SELECT FROM credits c WHERE c.entry_id = l.entry_id AND c.decision_id NOT IN (SELECT decision_id FROM own)
    )
  ))
  RETURNING entry_id, received_at
), uncredited AS (
  DELETE FROM credits c USING gone WHERE c.entry_id = gone.entry_id RETURNING c.entry_id
), untaken AS (
  DELETE FROM ledger_inbox i USING gone WHERE i.received_at = gone.received_at AND i.entry_id = gone.entry_id
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM uncredited)
"""

_CHUNK: Final = 5000


class PostgresOutcomeLog:
    """OutcomeLog in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def sequencing(self) -> Iterator[PostgresSequencing | None]:
        """See the port. The lock ends with the transaction, whatever becomes of this process."""
        with self._database.transaction(LONG) as connection:
            row = connection.execute(_TRY, [SEQUENCER_LOCK]).fetchone()
            if row is None or not row[0]:
                yield None
                return
            sequencing = PostgresSequencing(connection)
            yield sequencing
            sequencing.settle()

    def head(self, policy: PolicyName) -> int:
        """See the port."""
        return self._number(_LAST, outcomes_of(policy))

    def ledger_cut(self) -> int:
        """See the port."""
        return self._number(_LAST, LEDGER)

    def erasure_cut(self, policy: PolicyName) -> int:
        """See the port."""
        return self._number(_LAST_ERASURE, policy)

    def segment(self, policy: PolicyName, after: int, up_to: int, ledger_cut: int) -> Segment:
        """See the port."""
        with self._database.snapshot() as connection:
            return _segment(connection, policy, (after, up_to), ledger_cut)

    def revisions(self, decision: DecisionId) -> list[OutcomeRevision]:
        """See the port."""
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_REVISIONS, [decision])
            return [outcome_revision(row) for row in cursor]

    def mark(self, policy: PolicyName, position: int) -> OutcomeMark | None:
        """See the port."""
        with self._database.connection() as connection:
            return mark(connection, policy, position)

    def scan(
        self, policy: PolicyName, after: int, limit: int, as_of: AsOf | None = None, *, unlearnable: bool = False
    ) -> list[LoggedOutcome]:
        """See the port."""
        with self._database.snapshot() as connection:
            now = as_of or AsOf(_one(connection, _LAST, outcomes_of(policy)), _one(connection, _LAST, LEDGER))
            return first_closes(connection, policy, after, limit, now, unlearnable=unlearnable)

    def closes(self, policy: PolicyName, after: int, limit: int) -> list[OutcomeRevision]:
        """See the port."""
        with self._database.snapshot() as connection:
            return closes(connection, policy, after, limit)

    def erase(self, policy: PolicyName, decisions: Collection[DecisionId], at: datetime) -> int:
        """See the port. Waits for the sequencer's pass to end, so that none is closing a decision that goes."""
        names = sorted(decisions)
        with self._database.transaction(LONG) as connection:
            connection.execute(_WAIT, [SEQUENCER_LOCK])
            row = connection.execute(_NUMBER, {"policy": policy, "at": at}).fetchone()
            number = 0 if row is None else int(row[0])
            connection.execute(_EMPTY, [number, policy, names])
            connection.execute(_UNTIE, {"names": names})
            for statement in _REMOVE:
                connection.execute(statement, [names])
            return number

    def forget_shopper(self, subject: bytes, at: datetime) -> dict[str, int]:
        """See the port. Waits for the sequencer's pass to end, so that none is crediting an event that goes."""
        with self._database.transaction(LONG) as connection:
            connection.execute(_WAIT, [SEQUENCER_LOCK])
            row = connection.execute(_FORGET, {"subject": subject, "at": at}).fetchone()
            rewards, credited = (0, 0) if row is None else row
            return {"reward_ledger": rewards, "credits": credited}

    def _number(self, query: str, name: str) -> int:
        with self._database.connection() as connection:
            return _one(connection, query, name)


def _one(connection: Connection, query: str, name: str) -> int:
    row = connection.execute(query, [name]).fetchone()
    return 0 if row is None else int(row[0])


def _segment(connection: Connection, policy: PolicyName, span: tuple[int, int], ledger_cut: int) -> Segment:
    with connection.cursor(binary=True) as cursor:
        found: list[tuple[Any, ...]] = cursor.execute(_RANGE, [ledger_cut, policy, *span]).fetchall()
    erased = {position: number for position, number, _, _ in found if number is not None}
    learnable = [(position, name, reward) for position, number, name, reward in found if number is None]
    rows: list[TrainingRow] = []
    expired: list[int] = []
    for start in range(0, len(learnable), _CHUNK):
        chunk = learnable[start : start + _CHUNK]
        decisions: dict[DecisionId, Decision] = decision_rows.by_id(connection, [name for _, name, _ in chunk])
        for position, name, reward in chunk:
            decision = decisions.get(name)
            if decision is None:
                expired.append(position)
            else:
                rows.append(TrainingRow(position=position, decision=decision, reward=reward))
    return Segment(rows, erased, expired)
