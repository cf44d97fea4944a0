"""Unlearnings in PostgreSQL, and what may teach something else than it did: rules over rows that stay as they are."""

from collections.abc import Sequence
from typing import Any, Final

from cxi_bandit.domain.identifiers import PolicyName, Source, lowest_id_at
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.store.postgres.connection import Connection

_EVER: Final = "9223372036854775807"


def _concerned(known_at: str) -> str:
    """SQL: whether the rule `u` concerns the outcome `first`, by the events known at a ledger cut.

    An event that the decision had for a while and not any more concerns it too: a model may have learned it then.
    """
    return f"""(
      (u.source IS NULL AND first.decision_id >= u.since_id AND first.decision_id < u.until_id)
      OR EXISTS (
        SELECT FROM (
          SELECT named.entry_id, p.position FROM reward_ledger named JOIN ledger_positions p USING (entry_id)
          WHERE named.decision_id = first.decision_id
          UNION ALL
          SELECT c.entry_id, c.position FROM credits c WHERE c.decision_id = first.decision_id AND c.parts > 0
        ) had JOIN reward_ledger l USING (entry_id)
        WHERE l.source = u.source AND l.quarantined IS NULL
          AND l.occurred_at >= u.since AND l.occurred_at < u.until AND had.position <= {known_at}
      )
    )"""  # noqa: S608 - made of constants


def _left_out(up_to: str, known_at: str) -> str:
    """SQL: whether a rule up to a number concerns the outcome `first`."""
    return f"""EXISTS (
    SELECT FROM unlearnings u WHERE u.policy = first.policy AND u.number <= {up_to} AND {_concerned(known_at)}
  )"""


LEFT_OUT: Final = _left_out("%b::bigint", "%b::bigint")
"""Of an outcome `first`: heeding unlearnings up to a number, by the events known at a ledger cut, in this order."""

_NUMBERS: Final = "SELECT pg_advisory_xact_lock(hashtextextended('cxi_bandit.unlearn/' || %s, 0))"
_LAST: Final = "SELECT coalesce(max(number), 0) FROM unlearnings WHERE policy = %s"
_ADD: Final = """
INSERT INTO unlearnings (policy, number, source, since, until, since_id, until_id, asked_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_RULES: Final = "SELECT number, source, since, until, asked_at FROM unlearnings WHERE policy = %s ORDER BY number"

_COUNT: Final = f"""
WITH u (source, since, until, since_id, until_id) AS (
  VALUES (%s::text, %s::timestamptz, %s::timestamptz, %s::uuid, %s::uuid)
)
SELECT count(*) FROM outcomes first, u
WHERE first.policy = %s AND first.revision = 0 AND first.standing = 'learnable' AND first.erased IS NULL
  AND {_concerned(_EVER)}
"""  # noqa: S608 - made of constants

# In the order of the line, and no further than the first. What retention has dropped teaches nothing else: it is gone.
# Whether it has is looked up by id, and only where the rest holds; OFFSET keeps any plan from hashing the whole log.
_CHANGED: Final = f"""
SELECT g.place FROM unnest(%b::int8[], %b::int8[], %b::int8[], %b::int8[], %b::int8[])
  WITH ORDINALITY AS g (after, up_to, ledger_cut, erasure_cut, unlearn_cut, place)
WHERE EXISTS (
  SELECT FROM outcomes first
  WHERE first.policy = %b::text AND first.position > g.after AND first.position <= g.up_to
    AND first.revision = 0 AND first.standing = 'learnable' AND (
      first.erased > g.erasure_cut
      OR (
        (
          EXISTS (
            SELECT FROM outcomes late
            WHERE late.decision_id = first.decision_id AND late.revision > 0 AND late.ledger_cut > g.ledger_cut
          )
          OR {_left_out("g.unlearn_cut", "g.ledger_cut")} <> {_left_out(_EVER, _EVER)}
        )
        AND EXISTS (SELECT FROM decisions d WHERE d.decision_id = first.decision_id OFFSET 0)
      )
    )
)
ORDER BY g.place LIMIT 1
"""  # noqa: S608 - made of constants


def unlearn_cut(connection: Connection, policy: PolicyName) -> int:
    """The number of the policy's last unlearning."""
    row = connection.execute(_LAST, [policy]).fetchone()
    return 0 if row is None else int(row[0])


def add_unlearning(connection: Connection, unlearning: Unlearning) -> int:
    """Gives it the next number; one at a time, so that no lower number ever appears after a higher one."""
    connection.execute(_NUMBERS, [unlearning.policy])
    number = unlearn_cut(connection, unlearning.policy) + 1
    connection.execute(_ADD, [unlearning.policy, number, *_range(unlearning), unlearning.asked_at])
    return number


def unlearnings(connection: Connection, policy: PolicyName) -> list[Unlearning]:
    """All that stand, by number."""
    return [
        Unlearning(policy=policy, source=source, since=since, until=until, asked_at=asked_at, number=number)
        for number, source, since, until, asked_at in connection.execute(_RULES, [policy])
    ]


def concerned(connection: Connection, unlearning: Unlearning) -> int:
    """How many learnable first closes it concerns."""
    row = connection.execute(_COUNT, [*_range(unlearning), unlearning.policy]).fetchone()
    return 0 if row is None else int(row[0])


def first_changed(connection: Connection, policy: PolicyName, learned: Sequence[Lineage]) -> int | None:
    """The index of the first lineage whose segment may teach something else now."""
    spans: list[list[int]] = [
        [getattr(lineage, field) for lineage in learned]
        for field in ("after", "up_to", "ledger_cut", "erasure_cut", "unlearn_cut")
    ]
    row = connection.execute(_CHANGED, [*spans, policy]).fetchone()
    return None if row is None else int(row[0]) - 1


def _range(unlearning: Unlearning) -> list[Any]:
    source: Source | None = unlearning.source
    since, until = unlearning.since, unlearning.until
    return [source, since, until, lowest_id_at(since), lowest_id_at(until)]
