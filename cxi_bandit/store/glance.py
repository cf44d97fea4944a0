"""A glance at a database for the names in it: what a shell may offer while somebody types.

It is in a hurry and content with nothing: no pool, no migration, no waiting for a database that is away, and none of
the store's other modules, which take longer to import than a glance may take.
"""

from collections.abc import Mapping
from enum import Enum
from threading import Thread
from typing import Final, LiteralString


class Named(Enum):
    """What has names or numbers."""

    POLICY = "policy"
    VERSION = "version"
    MODEL = "model"
    REVISION = "revision"
    LOG = "log"
    KEY = "key"
    SOURCE = "source"
    WEBHOOK_SOURCE = "webhook source"
    PROMOTION = "promotion"
    EVALUATION = "evaluation"
    PIN = "pin"
    HALT = "halt"


# Each gives a value and what it is, for all policies or for %(policy)s, newest first where there may be many.
_QUERIES: Final[Mapping[Named, LiteralString]] = {
    Named.POLICY: "SELECT DISTINCT policy, 'policy' FROM policy_versions ORDER BY 1",
    Named.VERSION: """
        SELECT version::text, policy || ', ' || stage FROM policy_versions
        WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY policy, version DESC
    """,
    Named.MODEL: """
        SELECT version::text, policy || ' version ' || policy_version || ', ' || learned_total || ' outcomes learned'
        FROM models WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY created_at DESC LIMIT 50
    """,
    Named.REVISION: """
        SELECT revision::text, document->>'reason' FROM rollouts
        WHERE policy = %(policy)s ORDER BY revision DESC LIMIT 50
    """,
    Named.LOG: """
        SELECT name, kind || ' log of ' || rows || ' rows' FROM imported_logs
        UNION SELECT policy, 'live log' FROM policy_versions ORDER BY 1
    """,
    Named.KEY: "SELECT name, array_to_string(scopes, ' ') FROM api_keys WHERE revoked_at IS NULL ORDER BY 1",
    Named.SOURCE: """
        SELECT source, 'of key ' || min(name) FROM api_keys GROUP BY source
        UNION SELECT DISTINCT source, 'webhooks' FROM webhook_secrets ORDER BY 1
    """,
    Named.WEBHOOK_SOURCE: "SELECT DISTINCT source, 'webhooks' FROM webhook_secrets WHERE revoked_at IS NULL ORDER BY 1",
    Named.PROMOTION: """
        SELECT promotion_id::text, policy || ', ' || step FROM promotions
        WHERE step = 'proposed' ORDER BY promotion_id DESC LIMIT 50
    """,
    Named.EVALUATION: """
        SELECT evaluation_id::text, policy || ', ' || decision FROM evaluations
        WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY evaluation_id DESC LIMIT 50
    """,
    Named.PIN: """
        SELECT override_id::text, document->>'reason' FROM overrides
        WHERE lifted_at IS NULL AND document->>'expires_at' IS NOT NULL ORDER BY override_id DESC LIMIT 50
    """,
    Named.HALT: """
        SELECT override_id::text, document->>'reason' FROM overrides
        WHERE lifted_at IS NULL AND document->>'expires_at' IS NULL ORDER BY override_id DESC LIMIT 50
    """,
}


def glance(
    dsn: str, named: Named, policy: str | None = None, *, patience_seconds: float = 0.3
) -> list[tuple[str, str]]:
    """Names of that kind, each with what it is; none where the database does not say so in time.

    Args:
        policy: Only those of this policy, where they belong to one.
        patience_seconds: Counted from the first attempt to connect, so not for the driver's import.
    """
    import psycopg  # noqa: PLC0415 - a third of what a completion may take; only where there is a database to ask

    found: list[tuple[str, str]] = []

    def look() -> None:
        try:
            with psycopg.connect(dsn, connect_timeout=2, application_name="cxi-bandit completion") as connection:
                found.extend(connection.execute(_QUERIES[named], {"policy": policy}).fetchall())
        except psycopg.Error:
            return

    # A thread, because nothing else bounds the resolving of a host's name; the process does not wait for it to end.
    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(patience_seconds)
    return list(found)
