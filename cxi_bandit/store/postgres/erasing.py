"""Erasure in PostgreSQL: what was about a shopper goes, the places where it stood stay, empty and numbered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from psycopg.sql import SQL, Identifier

from cxi_bandit.domain.erasure import Erasure
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.store.postgres.connection import Connection
from cxi_bandit.store.postgres.counting import take_back
from cxi_bandit.store.postgres.rebuilds import ask_for_rebuild

_NUMBER: Final = """
INSERT INTO erasures (policy, number, erased_at)
SELECT %(policy)s, coalesce(max(number), 0) + 1, %(at)s FROM erasures WHERE policy = %(policy)s
RETURNING number
"""

# The outcome's place, cut, revision and standing stay: facts about the log, not about the shopper. They tell which
# models had learned it.
_EMPTY: Final = """
UPDATE outcomes SET erased = %s, decision_id = NULL, reward = NULL, metrics = NULL, counted = NULL, completed = NULL
WHERE policy = %s AND decision_id = ANY(%s) RETURNING position, revision = 0 AND standing = 'learnable'
"""
_WENT: Final = "UPDATE erasures SET removed = %s::json, learnable = %s WHERE policy = %s AND number = %s"
_ERASURE: Final = "SELECT erased_at, removed::text, learnable FROM erasures WHERE policy = %s AND number = %s"

# `reward_keys` stay: a webhook delivered once more must not bring an erased reward back.
_INBOX: Final = (
    "DELETE FROM ledger_inbox i USING reward_ledger l WHERE i.entry_id = l.entry_id AND l.decision_id = ANY(%s)"
)
_BY_DECISION: Final = (
    "credits",
    "reward_ledger",
    "idempotency_keys",
    "open_windows",
    "decisions",
    "activations",
    "set_asides",
)
_REMOVE: Final = {
    "ledger_inbox": SQL(_INBOX).format(),
    **{table: SQL("DELETE FROM {} WHERE decision_id = ANY(%s)").format(Identifier(table)) for table in _BY_DECISION},
}

# An order that only these decisions' rewards tied is theirs: what names it alone goes with them. What another decision
# has or once had stays, here and below: without it that one's outcome would not be what its revisions say.
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
    AND NOT EXISTS (
      SELECT FROM credits c WHERE c.entry_id = l.entry_id AND c.decision_id <> ALL(%(names)s)
    )
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
  WHERE l.received_at <= %(at)s AND (
    l.subject = %(subject)s
    OR (l.order_key IN (SELECT order_key FROM orders) AND l.decision_id IS NULL AND l.subject IS NULL)
  ) AND NOT EXISTS (
    SELECT FROM credits c WHERE c.entry_id = l.entry_id AND c.decision_id NOT IN (SELECT decision_id FROM own)
  )
  RETURNING entry_id, received_at
), uncredited AS (
  DELETE FROM credits c USING gone WHERE c.entry_id = gone.entry_id RETURNING c.entry_id
), untaken AS (
  DELETE FROM ledger_inbox i USING gone WHERE i.received_at = gone.received_at AND i.entry_id = gone.entry_id
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM uncredited)
"""

_encode: Final = msgspec.json.Encoder().encode
_counts: Final = msgspec.json.Decoder(dict[str, int]).decode


def erase(connection: Connection, policy: PolicyName, decisions: Sequence[DecisionId], at: datetime) -> int:
    """Erases decisions of a policy, within the caller's transaction; returns the erasure's number.

    Args:
        decisions: Sorted, so that two erasures never wait for each other in a ring.
    """
    names = list(decisions)
    take_back(connection, policy, names)
    row = connection.execute(_NUMBER, {"policy": policy, "at": at}).fetchone()
    number = 0 if row is None else int(row[0])
    emptied = connection.execute(_EMPTY, [number, policy, names]).fetchall()
    removed = {"outcomes": len(emptied)}
    connection.execute(_UNTIE, {"names": names})
    for table, statement in _REMOVE.items():
        removed[table] = connection.execute(statement, [names]).rowcount
    learnable = sorted(position for position, learnable in emptied if learnable)
    connection.execute(_WENT, [_encode(removed).decode(), learnable, policy, number])
    ask_for_rebuild(connection, policy, f"erasure {number}", at)
    return number


def erasure(connection: Connection, policy: PolicyName, number: int) -> Erasure:
    """What an erasure removed. Raises NotFound."""
    row = connection.execute(_ERASURE, [policy, number]).fetchone()
    if row is None:
        raise NotFound("erasure", f"{number} of policy {policy}")
    at, removed, learnable = row
    return Erasure(
        policy=policy,
        number=number,
        erased_at=at,
        removed={} if removed is None else _counts(removed),
        learnable=tuple(learnable or ()),
    )


def forget_shopper(connection: Connection, subject: bytes, at: datetime) -> dict[str, int]:
    """Removes what names a shopper, or the shopper's orders alone, received until `at`; how many rows, by table."""
    row = connection.execute(_FORGET, {"subject": subject, "at": at}).fetchone()
    rewards, credited = (0, 0) if row is None else row
    return {"reward_ledger": rewards, "credits": credited}
