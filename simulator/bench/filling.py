"""A log of any length, written by the database itself: valid rows of the real schema, a few decisions over and over.

The decisions are the engine's own; their copies get ids and times of their own, outcomes at dense positions, and every
tenth a reward in the ledger. What a copy's id would draw is not what was drawn: such a log is for speed, not for proof.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.connection import LONG
from cxi_bandit.store.postgres.sequencing import outcomes_of

REWARDED: Final = 10
"""One decision in so many has a reward."""

_DAYS: Final = 10
_AT_ONCE: Final = 250_000
_PART: Final = 500

_MODELS: Final = """
CREATE UNLOGGED TABLE bench_copied AS
SELECT row_number() OVER (ORDER BY decision_id) - 1 AS place, d.* FROM decisions d
"""
_EMPTY: Final = ("DELETE FROM open_windows", "DELETE FROM decisions")
_FORGET: Final = "DROP TABLE bench_copied"

# Time-ordered ids of version 7 that no two copies share: the moment, then the copy's number.
_COPY: Final = """
WITH made AS (
  SELECT n, %(start)s::timestamptz + n * %(step)s::interval AS at,
    mod(n, (SELECT count(*) FROM bench_copied)) AS place
  FROM generate_series(%(after)s::bigint + 1, %(up_to)s::bigint) AS n
), named AS (
  SELECT n, place, date_trunc('milliseconds', at) AS at,
    (lpad(to_hex((extract(epoch FROM date_trunc('milliseconds', at)) * 1000)::bigint), 12, '0')
      || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid AS name
  FROM made
), logged AS (
  INSERT INTO decisions (
    decision_id, decided_at, closes_at, policy, policy_version, manifest_sha, model_version, stage,
    surface, subject, defect_type, defect_severity, defect_confidence, context, eligible,
    offered, excluded, probabilities, intervention, propensity, draw_key_id, u, fallback
  )
  SELECT m.name, m.at, m.at + %(horizon)s::interval, c.policy, c.policy_version, c.manifest_sha, c.model_version,
    c.stage, c.surface, c.subject, c.defect_type, c.defect_severity, c.defect_confidence, c.context, c.eligible,
    c.offered, c.excluded, c.probabilities, c.intervention, c.propensity, c.draw_key_id, c.u, c.fallback
  FROM named m JOIN bench_copied c USING (place) ORDER BY m.n
), told AS (
  INSERT INTO reward_ledger (source, reward_id, decision_id, metric, value, occurred_at, received_at)
  SELECT 'filling', m.n::text, m.name, %(metric)s, %(value)s, m.at, m.at FROM named m
  WHERE mod(m.n, %(rewarded)s) = 0 ORDER BY m.n
  RETURNING entry_id, reward_id
), known AS (
  INSERT INTO reward_keys (source, reward_id, digest)
  SELECT 'filling', reward_id, sha256(reward_id::bytea) FROM told
), placed AS (
  INSERT INTO ledger_positions (position, entry_id) SELECT reward_id::bigint / %(rewarded)s, entry_id FROM told
)
INSERT INTO outcomes (
  policy, position, decision_id, revision, reward, metrics, counted, completed, standing, ledger_cut, closed_at
)
SELECT c.policy, m.n, m.name, 0,
  greatest(%(least)s, least(%(most)s, CASE WHEN paid THEN %(worth)s ELSE %(default)s END
    - coalesce((%(costs)s::json ->> c.intervention)::float8, 0))),
  CASE WHEN paid THEN %(metrics)s ELSE '{}' END::json, paid::int, paid, 'learnable',
  m.n / %(rewarded)s, m.at + %(horizon)s::interval
FROM (SELECT n, place, at, name, mod(n, %(rewarded)s) = 0 AS paid FROM named) m JOIN bench_copied c USING (place)
ORDER BY m.n
"""
_ADVANCE: Final = """
INSERT INTO sequences (name, last_position) VALUES (%(outcomes)s, %(count)s), ('ledger', %(count)s / %(rewarded)s)
ON CONFLICT (name) DO UPDATE SET last_position = excluded.last_position
"""
_STATISTICS: Final = "ANALYZE decisions, outcomes, reward_ledger, ledger_positions"


def fill(store: PostgresStore, manifest: Manifest, decisions: Sequence[Decision], count: int) -> None:
    """Fills an empty log with so many closed decisions of the last ten days, copies of those given.

    Args:
        decisions: The policy's own, of any moment.
    """
    now, horizon = datetime.now(UTC), timedelta(seconds=manifest.reward.horizon_seconds)
    start = now - timedelta(days=_DAYS)
    store.partitions.ensure(start.date(), _DAYS)
    for begin in range(0, len(decisions), _PART):
        store.decisions.append([DecisionEntry(one) for one in decisions[begin : begin + _PART]])
    name, metric = next(iter(manifest.reward.metrics.items()))
    reward = manifest.reward
    values = {
        "start": start,
        "step": (now - horizon - timedelta(minutes=1) - start) / count,
        "horizon": horizon,
        "metric": name,
        "value": metric.max,
        "metrics": f'{{"{name}":{metric.max!r}}}',
        "worth": metric.weight * metric.max,
        "default": reward.default,
        "least": reward.min,
        "most": reward.max,
        "costs": _costs(manifest),
        "rewarded": REWARDED,
    }
    with store.database.transaction(LONG) as connection:
        connection.execute(_MODELS)
        for statement in _EMPTY:
            connection.execute(statement)
    for after in range(0, count, _AT_ONCE):
        with store.database.transaction(LONG) as connection:
            connection.execute(_COPY, {**values, "after": after, "up_to": min(after + _AT_ONCE, count)})
    with store.database.transaction(LONG) as connection:
        names = {"outcomes": outcomes_of(manifest.policy), "count": count, "rewarded": REWARDED}
        connection.execute(_ADVANCE, names)
        connection.execute(_FORGET)
        connection.execute(_STATISTICS)


def _costs(manifest: Manifest) -> str:
    return msgspec.json.encode({entry.id: entry.cost for entry in manifest.interventions}).decode()
