"""API keys and webhook secrets in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from cxi_bandit.domain.access import ApiKey, Scope, key_added, key_revoked, secret_added, secrets_revoked
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.store.postgres.connection import Database
from cxi_bandit.store.postgres.trail import write_line

_KEY: Final = """
SELECT name, scopes, source, created_at, revoked_at, rate_per_second, rate_burst FROM api_keys
WHERE digest = %s AND revoked_at IS NULL
"""
_KEYS: Final = """
SELECT name, scopes, source, created_at, revoked_at, rate_per_second, rate_burst FROM api_keys
ORDER BY created_at, key_id
"""
_ADD_KEY: Final = """
INSERT INTO api_keys (name, digest, scopes, source, created_at, revoked_at, rate_per_second, rate_burst)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_LOCK_KEY: Final = "SELECT revoked_at FROM api_keys WHERE name = %s FOR UPDATE"
_REVOKE_KEY: Final = "UPDATE api_keys SET revoked_at = %s WHERE name = %s"

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

    def add_key(self, key: ApiKey, digest: bytes, actor: str) -> None:
        """See the port."""
        scopes = sorted(scope.value for scope in key.scopes)
        when = [key.created_at, key.revoked_at]
        values = [key.name, digest, scopes, key.source, *when, key.rate_per_second, key.rate_burst]
        with self._database.transaction() as connection:
            if connection.execute(_ADD_KEY, values).rowcount == 0:
                raise InvalidInput("/name", f"a key named {key.name!r} exists; choose another name")
            write_line(connection, key_added(key, actor))

    def revoke_key(self, name: str, at: datetime, actor: str) -> None:
        """See the port."""
        with self._database.transaction() as connection:
            row = connection.execute(_LOCK_KEY, [name]).fetchone()
            if row is None:
                raise NotFound("key", name)
            if row[0] is None:
                connection.execute(_REVOKE_KEY, [at, name])
                write_line(connection, key_revoked(name, at, actor))

    def webhook_secrets(self, source: Source) -> list[str]:
        """See the port."""
        with self._database.connection() as connection:
            return [str(secret) for (secret,) in connection.execute(_WEBHOOKS, [source])]

    def add_webhook_secret(self, source: Source, secret: str, at: datetime, actor: str) -> None:
        """See the port."""
        with self._database.transaction() as connection:
            connection.execute(_ADD_WEBHOOK, [source, secret, at])
            write_line(connection, secret_added(source, at, actor))

    def revoke_webhook_secrets(self, source: Source, at: datetime, actor: str, *, but_newest: bool) -> int:
        """See the port."""
        values = {"source": source, "at": at, "but_newest": but_newest}
        with self._database.transaction() as connection:
            number = connection.execute(_REVOKE_WEBHOOKS, values).rowcount
            if number:
                write_line(connection, secrets_revoked(source, number, at, actor))
            return number


def _api_key(row: Sequence[Any]) -> ApiKey:
    name, scopes, source, created_at, revoked_at, rate_per_second, rate_burst = row
    return ApiKey(
        name=name,
        scopes=frozenset(Scope(scope) for scope in scopes),
        source=source,
        created_at=created_at,
        revoked_at=revoked_at,
        rate_per_second=rate_per_second,
        rate_burst=rate_burst,
    )
