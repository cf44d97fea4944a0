"""First closes in PostgreSQL: outcomes as they were known when their windows closed, whatever came later."""

from typing import Final

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.outcome import OutcomeRevision
from cxi_bandit.store.postgres.connection import Connection
from cxi_bandit.store.postgres.sequencing import outcome_revision

# Erased outcomes have no revision any more, so they are left out.
_CLOSES: Final = """
SELECT policy, position, decision_id, revision, reward, metrics::text, counted, completed, standing, ledger_cut,
  closed_at
FROM outcomes WHERE policy = %b::text AND position > %b::bigint AND revision = 0 AND erased IS NULL
ORDER BY position LIMIT %b::bigint
"""


def closes(connection: Connection, policy: PolicyName, after: int, limit: int) -> list[OutcomeRevision]:
    """Up to `limit` revisions 0 after a position, in position order."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_CLOSES, [policy, after, limit])
        return [outcome_revision(row) for row in cursor]
