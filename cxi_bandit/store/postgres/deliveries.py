"""Webhook ids in PostgreSQL: one row binds an id to a body."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cxi_bandit.domain.delivery import Delivery
from cxi_bandit.store.postgres.connection import LONG, Database

# Who inserts the row decides; all others wait for that transaction's end. In the key's order, so that two batches with
# ids in common never deadlock; of one batch the first delivery of an id is the one that binds it.
_BIND: Final = """
INSERT INTO webhook_deliveries (source, webhook_id, body_sha256, received_at)
SELECT DISTINCT ON (source, webhook_id) source, webhook_id, body_sha256, received_at
FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::timestamptz[]) WITH ORDINALITY
  AS given (source, webhook_id, body_sha256, received_at, place)
ORDER BY source, webhook_id, place
ON CONFLICT (source, webhook_id) DO NOTHING
"""
_STANDING: Final = """
SELECT known.source, known.webhook_id, known.body_sha256
FROM webhook_deliveries known JOIN unnest(%b::text[], %b::text[]) AS given (source, webhook_id)
  USING (source, webhook_id)
"""
_PRUNE: Final = "DELETE FROM webhook_deliveries WHERE received_at < %s"


class PostgresDeliveries:
    """Deliveries in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bind(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """See the port."""
        if not deliveries:
            return []
        sources = [delivery.source for delivery in deliveries]
        names = [delivery.webhook_id for delivery in deliveries]
        digests = [delivery.body_sha256 for delivery in deliveries]
        with self._database.connection() as connection:
            connection.execute(_BIND, [sources, names, digests, [delivery.received_at for delivery in deliveries]])
            # A statement of its own: what a rival committed while this one waited is seen by the next only.
            rows = connection.execute(_STANDING, [sources, names]).fetchall()
        standing = {(source, name): digest for source, name, digest in rows}
        keys = zip(sources, names, strict=True)
        return [standing.get(key, digest) == digest for key, digest in zip(keys, digests, strict=True)]

    def prune(self, before: datetime) -> int:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            return connection.execute(_PRUNE, [before]).rowcount
