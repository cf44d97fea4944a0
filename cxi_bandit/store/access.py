"""API keys and webhook secrets in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.store.connection import Database

_KEY: Final = """
SELECT name, scopes, source, created_at, revoked_at FROM api_keys WHERE digest = %s AND revoked_at IS NULL
"""
_KEYS: Final = "SELECT name, scopes, source, created_at, revoked_at FROM api_keys ORDER BY created_at, key_id"
_ADD_KEY: Final = """
INSERT INTO api_keys (name, digest, scopes, source, created_at, revoked_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_REVOKE_KEY: Final = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, %s) WHERE name = %s"

_WEBHOOKS: Final = """
SELECT secret FROM webhook_secrets WHERE source = %s AND revoked_at IS NULL ORDER BY created_at DESC, secret_id DESC
"""
_ADD_WEBHOOK: Final = "INSERT INTO webhook_secrets (source, secret, created_at) VALUES (%s, %s, %s)"
_REVOKE_WEBHOOKS: Final = """
UPDATE webhook_secrets SET revoked_at = %(at)s
WHERE source = %(source)s AND revoked_at IS NULL AND NOT (%(but_newest)s AND secret_id = (
  SELECT secret_id FROM webhook_secrets WHERE source = %(source)s AND revoked_at IS NULL
  ORDER BY created_at DESC, secret_id DESC LIMIT 1
))
"""


class PostgresAccess:
    """Access in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def key(self, digest: bytes) -> ApiKey | None:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_KEY, [digest]).fetchone()
        return None if row is None else _api_key(row)

    def keys(self) -> list[ApiKey]:
        """See the port."""
        with self._database.connection() as connection:
            return [_api_key(row) for row in connection.execute(_KEYS)]

    def add_key(self, key: ApiKey, digest: bytes) -> None:
        """See the port."""
        scopes = sorted(scope.value for scope in key.scopes)
        values = [key.name, digest, scopes, key.source, key.created_at, key.revoked_at]
        with self._database.connection() as connection:
            if connection.execute(_ADD_KEY, values).rowcount == 0:
                raise InvalidInput("/name", f"a key named {key.name!r} exists; choose another name")

    def revoke_key(self, name: str, at: datetime) -> None:
        """See the port."""
        with self._database.connection() as connection:
            if connection.execute(_REVOKE_KEY, [at, name]).rowcount == 0:
                raise NotFound("key", name)

    def webhook_secrets(self, source: Source) -> list[str]:
        """See the port."""
        with self._database.connection() as connection:
            return [str(secret) for (secret,) in connection.execute(_WEBHOOKS, [source])]

    def add_webhook_secret(self, source: Source, secret: str, at: datetime) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_ADD_WEBHOOK, [source, secret, at])

    def revoke_webhook_secrets(self, source: Source, at: datetime, *, but_newest: bool) -> int:
        """See the port."""
        values = {"source": source, "at": at, "but_newest": but_newest}
        with self._database.connection() as connection:
            return connection.execute(_REVOKE_WEBHOOKS, values).rowcount


def _api_key(row: Sequence[Any]) -> ApiKey:
    name, scopes, source, created_at, revoked_at = row
    return ApiKey(
        name=name,
        scopes=frozenset(Scope(scope) for scope in scopes),
        source=source,
        created_at=created_at,
        revoked_at=revoked_at,
    )
