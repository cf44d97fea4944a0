"""What the code of the first schema sends to write and to read, kept as it was: it must work on every later schema.

Never edit these to make a migration pass: that they fail is what an older process, still answering, would see.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

_DECIDE = """
WITH fresh AS (
  INSERT INTO decisions (
    decision_id, decided_at, closes_at, policy, policy_version, manifest_sha, model_version, stage,
    surface, subject, defect_type, defect_severity, defect_confidence, context, eligible,
    offered, excluded, probabilities, intervention, propensity, draw_key_id, u, fallback
  ) VALUES (
    %(id)s, %(at)s, %(at)s + interval '1 hour', %(policy)s, 1, 'sha', NULL, 'live',
    'cart', '\\x01', 'slow', 0.5, 0.5, '{"device": "mobile"}', '{hold,discount}',
    '{}', '{}', '{0.25,0.75}', 'discount', 0.75, 'draw-1', 0.5, NULL
  )
  ON CONFLICT (decision_id) DO NOTHING
  RETURNING decision_id, policy, closes_at
), opened AS (
  INSERT INTO open_windows (decision_id, policy, closes_at) SELECT decision_id, policy, closes_at FROM fresh
)
SELECT count(*) FROM fresh
"""
_CLAIM_KEY = """
INSERT INTO idempotency_keys (caller, key, body_sha256, decision_id) VALUES ('shop', %(name)s, '\\x00', %(id)s)
ON CONFLICT (caller, key) DO NOTHING
"""
_ACTIVATE = """
WITH known AS (SELECT decision_id FROM decisions WHERE decision_id = %(id)s FOR KEY SHARE), noted AS (
  INSERT INTO activations (decision_id, activated_at) SELECT decision_id, %(at)s FROM known
  ON CONFLICT (decision_id) DO NOTHING
)
SELECT count(*) FROM known
"""
_REWARD = """
WITH given AS MATERIALIZED (
  SELECT 'shop' AS source, %(name)s AS reward_id, '\\x00'::bytea AS digest, %(id)s AS decision_id, 'order' AS metric,
    1.0::float8 AS value, %(at)s::timestamptz AS occurred_at, NULL AS corrects, NULL AS retracts,
    %(at)s::timestamptz AS received_at, NULL AS quarantined
), fresh AS (
  INSERT INTO reward_keys (source, reward_id, digest) SELECT source, reward_id, digest FROM given
  ON CONFLICT (source, reward_id) DO NOTHING
  RETURNING source, reward_id
), written AS (
  INSERT INTO reward_ledger (
    source, reward_id, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined
  )
  SELECT source, reward_id, decision_id, metric, value, occurred_at, corrects, retracts, received_at, quarantined
  FROM given JOIN fresh USING (source, reward_id)
  RETURNING received_at, entry_id
), queued AS (
  INSERT INTO ledger_inbox (received_at, entry_id) SELECT received_at, entry_id FROM written
)
SELECT source, reward_id FROM fresh
"""
_READ = """
SELECT d.propensity, l.value FROM decisions d JOIN reward_ledger l USING (decision_id) WHERE d.decision_id = %(id)s
"""
_SEQUENCE = (
    """
    WITH due AS (
      SELECT received_at, entry_id FROM ledger_inbox ORDER BY received_at, entry_id LIMIT 5000
    ), placed AS (
      INSERT INTO ledger_positions (position, entry_id)
      SELECT (SELECT coalesce(max(last_position), 0) FROM sequences WHERE name = 'ledger')
        + row_number() OVER (ORDER BY received_at, entry_id), entry_id FROM due
      RETURNING position
    ), gone AS (
      DELETE FROM ledger_inbox i USING due WHERE i.received_at = due.received_at AND i.entry_id = due.entry_id
    )
    INSERT INTO sequences (name, last_position) SELECT 'ledger', max(position) FROM placed HAVING count(*) > 0
    ON CONFLICT (name) DO UPDATE SET last_position = excluded.last_position
    """,
    """
    WITH due AS (
      SELECT w.decision_id, w.policy FROM open_windows w LEFT JOIN activations a USING (decision_id)
    ), closed AS (
      INSERT INTO outcomes (
        policy, position, decision_id, revision, reward, metrics, counted, completed, standing, ledger_cut, closed_at
      )
      SELECT policy, (SELECT coalesce(max(position), 0) FROM outcomes o WHERE o.policy = due.policy)
        + row_number() OVER (PARTITION BY policy ORDER BY decision_id), decision_id, 0, 1.0, '{"order": 1.0}', 1, true,
        'learnable', 0, now()
      FROM due
      RETURNING decision_id
    )
    DELETE FROM open_windows w USING closed WHERE w.decision_id = closed.decision_id
    """,
)


def write(connection: psycopg.Connection[Any], decision: UUID, policy: str, at: datetime) -> None:
    """A decision with its key, its activation and a reward, each durable on its own, and read back."""
    given = {"id": decision, "policy": policy, "at": at, "name": str(decision)}
    with connection.transaction():
        connection.execute(_CLAIM_KEY, given)
        assert connection.execute(_DECIDE, given).fetchone() == (1,)
    assert connection.execute(_ACTIVATE, given).fetchone() == (1,)
    assert connection.execute(_REWARD, given).fetchall() == [("shop", str(decision))]
    assert connection.execute(_READ, given).fetchall() == [(0.75, 1.0)]


def sequence(connection: psycopg.Connection[Any]) -> None:
    """A sequencer's pass over all that is there."""
    with connection.transaction():
        for statement in _SEQUENCE:
            connection.execute(statement)
