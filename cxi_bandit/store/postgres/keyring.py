"""Secrets in PostgreSQL: made once, by whichever process asks first, and the same for all from then on."""

import secrets
from typing import Final

from cxi_bandit.domain.errors import NotFound
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.store.postgres.connection import Database

_DRAW: Final = "draw"
_SUBJECT: Final = "subject"
_CONSOLE: Final = "console"
_BYTES: Final = 32

_NEWEST: Final = "SELECT name, secret FROM secrets WHERE purpose = %s ORDER BY created_at DESC, name DESC LIMIT 1"
_NAMED: Final = "SELECT name, secret FROM secrets WHERE purpose = %s AND name = %s"
# Racing first users: one makes it, the others read what that one made.
_MAKE: Final = "INSERT INTO secrets (name, purpose, secret) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING"


class PostgresKeyring:
    """Keyring in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def draw_key(self, key_id: str | None = None) -> DrawKey:
        """See the port."""
        if key_id is None:
            return DrawKey(*self._current(_DRAW))
        with self._database.connection() as connection:
            row = connection.execute(_NAMED, [_DRAW, key_id]).fetchone()
        if row is None:
            raise NotFound("draw key", key_id)
        return DrawKey(str(row[0]), bytes(row[1]))

    def subject_key(self) -> bytes:
        """See the port."""
        return self._current(_SUBJECT)[1]

    def console_key(self) -> bytes:
        """See the port."""
        return self._current(_CONSOLE)[1]

    def _current(self, purpose: str) -> tuple[str, bytes]:
        with self._database.connection() as connection:
            row = connection.execute(_NEWEST, [purpose]).fetchone()
            if row is None:
                connection.execute(_MAKE, [f"{purpose}-1", purpose, secrets.token_bytes(_BYTES)])
                row = connection.execute(_NEWEST, [purpose]).fetchone()
        if row is None:
            raise NotFound("secret", purpose)
        return str(row[0]), bytes(row[1])
