"""Who may write a policy's models: whoever holds its lock, on a connection that dies with its process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.store.postgres.connection import Connection, Database

_KEY: Final = "hashtextextended('cxi_bandit.writer/' || %s, 0)"
_TAKE: Final = f"SELECT pg_try_advisory_lock({_KEY})"
_LEAVE: Final = f"SELECT pg_advisory_unlock({_KEY})"


class Writers:
    """One process's part in it. Each lock is held on a connection that holds no other one.

    A learner takes and leaves a lock several times a second, and a connection costs the server a process: so one whose
    lock was left is kept for the next, one at a time. One that might hold a lock still is closed, which leaves it too.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keeping = threading.Lock()
        self._free: Connection | None = None
        self._closed = False

    @contextmanager
    def writer(self, policy: PolicyName) -> Iterator[bool]:
        """See the registry's port.

        Raises:
            Unavailable: The database is away.
        """
        connection, mine = self._asked(policy)
        try:
            yield mine
        finally:
            if not ((not mine or self._left(connection, policy)) and self._kept(connection)):
                connection.close()

    def close(self) -> None:
        """Closes the connection that is kept; from now on none is."""
        with self._keeping:
            self._closed = True
        free = self._taken()
        if free is not None:
            free.close()

    def _kept(self, connection: Connection) -> bool:
        with self._keeping:
            if self._closed or self._free is not None:
                return False
            self._free = connection
            return True

    def _taken(self) -> Connection | None:
        with self._keeping:
            free, self._free = self._free, None
            return free

    def _asked(self, policy: PolicyName) -> tuple[Connection, bool]:
        """A connection, and whether it has the policy's lock now."""
        free = self._taken()
        if free is not None:
            # One that ended while nobody used it is none.
            with suppress(Unavailable):
                return self._tried(free, policy)
        return self._tried(self._database.dedicated("cxi-bandit writer"), policy)

    def _tried(self, connection: Connection, policy: PolicyName) -> tuple[Connection, bool]:
        try:
            with self._database.watched(connection):
                row = connection.execute(_TAKE, [policy]).fetchone()
        except BaseException:
            connection.close()
            raise
        return connection, row is not None and bool(row[0])

    def _left(self, connection: Connection, policy: PolicyName) -> bool:
        """Whether the lock was left; where the connection has ended, the lock went with it."""
        try:
            with self._database.watched(connection):
                row = connection.execute(_LEAVE, [policy]).fetchone()
        except (Unavailable, psycopg.Error):
            return False
        return row is not None and bool(row[0])
