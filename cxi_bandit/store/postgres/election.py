"""Which of several learners on one database works: the one that holds a lock, for as long as it shows that it lives."""

from contextlib import suppress
from typing import Final

import psycopg

from cxi_bandit.store.postgres.connection import Connection, Database

_SILENT_SECONDS: Final = 60

_PATIENCE: Final = f"SET idle_session_timeout = '{_SILENT_SECONDS}s'"
_CANDIDACY: Final = "SELECT pg_try_advisory_lock(hashtextextended('cxi_bandit.learner', 0))"
_SIGN_OF_LIFE: Final = "SELECT"


class Election:
    """One learner's part in the election.

    Nothing rests on it but that work is not done twice over: publishing is fenced, and positions are given out, under
    locks of their own.

    The lock lives on a connection of its own. It goes to another when its holder ends, however it ends: at once when
    the process did, within seconds when its machine fell off the network, and within a minute when it is there but
    stands still.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._elected = False

    def won(self) -> bool:
        """Whether this one works; ask before each turn.

        Raises:
            Unavailable: The database is away, or closed the connection; whoever was elected is not any more.
        """
        try:
            if self._connection is None:
                self._connection = self._database.dedicated("cxi-bandit learner")
                with self._database.watched(self._connection):
                    self._connection.execute(_PATIENCE)
            with self._database.watched(self._connection):
                if self._elected:
                    self._connection.execute(_SIGN_OF_LIFE)
                else:
                    row = self._connection.execute(_CANDIDACY).fetchone()
                    self._elected = row is not None and bool(row[0])
        except BaseException:
            self.stand_down()
            raise
        return self._elected

    def stand_down(self) -> None:
        """Lets another one work."""
        self._elected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()
