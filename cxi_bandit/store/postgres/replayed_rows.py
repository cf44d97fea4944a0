"""The outcome log as a replay reads it: first closes as they stood at a stated position and ledger cut."""

from datetime import datetime
from typing import Any, Final

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import AsOf, LoggedOutcome, OutcomeMark, OutcomeStanding
from cxi_bandit.store.postgres import decision_rows
from cxi_bandit.store.postgres.connection import Connection
from cxi_bandit.store.postgres.unlearning import LEFT_OUT

_ALL_UNLEARNINGS: Final = 2**62

# Erased and unlearned outcomes are left out. The decisions are read apart, by id, so that no plan
# ever scans the whole log.
_FIRST: Final = f"""
SELECT first.position, first.decision_id, coalesce(late.reward, first.reward),
  coalesce(late.completed, first.completed), first.standing, first.closed_at, shown.activated_at
FROM outcomes first
LEFT JOIN LATERAL (
  SELECT reward, completed FROM outcomes
  WHERE decision_id = first.decision_id AND revision > 0 AND ledger_cut <= %b::bigint
  ORDER BY revision DESC LIMIT 1
) late ON true
LEFT JOIN activations shown ON shown.decision_id = first.decision_id
WHERE first.policy = %b::text AND first.position > %b::bigint AND first.position <= %b::bigint
  AND first.revision = 0 AND first.erased IS NULL AND (%b::bool OR first.standing = 'learnable') AND NOT {LEFT_OUT}
ORDER BY first.position LIMIT %b::bigint
"""  # noqa: S608 - made of constants

_MARK: Final = "SELECT ledger_cut, closed_at FROM outcomes WHERE policy = %s AND position = %s"


def mark(connection: Connection, policy: PolicyName, position: int) -> OutcomeMark | None:
    """The place's own facts, which an erasure leaves."""
    row = connection.execute(_MARK, [policy, position]).fetchone()
    return None if row is None else OutcomeMark(position, row[0], row[1])


def first_closes(
    connection: Connection, policy: PolicyName, after: int, limit: int, as_of: AsOf, *, unlearnable: bool
) -> list[LoggedOutcome]:
    """Up to `limit` of them, reading past decisions that retention has dropped."""
    rows: list[LoggedOutcome] = []
    while len(rows) < limit:
        asked = limit - len(rows)
        with connection.cursor(binary=True) as cursor:
            cut = as_of.ledger_cut
            values = [cut, policy, after, as_of.position, unlearnable, _ALL_UNLEARNINGS, cut, asked]
            found: list[tuple[Any, ...]] = cursor.execute(_FIRST, values).fetchall()
        known = decision_rows.by_id(connection, [row[1] for row in found])
        rows.extend(_logged(row, known) for row in found if row[1] in known)
        if len(found) < asked:
            break
        after = found[-1][0]
    return rows


def _logged(row: tuple[Any, ...], known: dict[DecisionId, Decision]) -> LoggedOutcome:
    position, name, reward, completed, standing, closed_at, activated_at = row
    decision = known[name]
    return LoggedOutcome(
        position=position,
        decision=decision,
        reward=reward,
        completed=completed,
        standing=OutcomeStanding(standing),
        activated=_in_time(activated_at, decision, closed_at),
    )


def _in_time(activated_at: datetime | None, decision: Decision, closed_at: datetime) -> bool:
    return activated_at is not None and activated_at <= min(decision.closes_at, closed_at)
