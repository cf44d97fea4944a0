"""Imported logs: whole data sets in by COPY in one transaction, out as one polars frame.

The frame is made in a module of its own, loaded when a log is read: every worker opens a store, and importing polars
would cost each of them a third of a second.
"""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.imported import ImportedLayout, ImportedLog, ImportedRound
from cxi_bandit.store.postgres.connection import LONG, Connection, Database

if TYPE_CHECKING:
    import polars as pl

# The name is taken first: a second importer of the same name waits for this one, then finds it taken.
_CLAIM: Final = """
INSERT INTO imported_logs (
  name, kind, source_sha256, rows, created_at, actions, action_features, reward_min, reward_max, smallest_propensity
)
VALUES (%s, %s, %s, 0, %s, %s, %s::json, %s, %s, %s)
ON CONFLICT (name) DO NOTHING
"""

_COPY_IN: Final = """
COPY imported_rounds (
  log, row_number, logged_at, position, action, propensity, reward, context, subject, probabilities
) FROM STDIN
"""

_COUNTED: Final = "UPDATE imported_logs SET rows = %s WHERE name = %s"

# Microseconds as a number: a timestamp's text form would have to be parsed again for every row.
_COPY_OUT: Final = """
COPY (
  SELECT row_number, (extract(epoch FROM logged_at) * 1000000)::bigint, position, action, propensity, reward, context,
    subject, array_to_json(probabilities)
  FROM imported_rounds WHERE log = %s AND row_number >= %s AND row_number < %s ORDER BY row_number
) TO STDOUT (FORMAT csv)
"""

_LAYOUT: Final = """
SELECT count(*) = count(logged_at), count(*) = count(position), count(*) = count(subject),
  count(*) = count(probabilities), coalesce(bool_and(logged_at >= before), true)
FROM (
  SELECT logged_at, position, subject, probabilities, lag(logged_at) OVER (ORDER BY row_number) AS before
  FROM imported_rounds WHERE log = %s
) AS rounds
"""

_LOGS: Final = """
SELECT name, kind, source_sha256, rows, created_at, actions, action_features::text, reward_min, reward_max,
  smallest_propensity
FROM imported_logs ORDER BY created_at, name
"""


class ImportedLogs:
    """The shelf of offline data sets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, log: ImportedLog, rounds: Iterable[ImportedRound]) -> int:
        """Imports a whole log, or nothing of it; rows are numbered from 0 in the order given. Durable on return.

        Returns:
            How many rounds were written.

        Raises:
            InvalidInput: The name is taken, or a round is wrong; its pointer names the row.
        """
        with self._database.transaction(LONG) as connection:
            features = msgspec.json.encode(log.action_features).decode()
            values = [log.name, log.kind, log.source_sha256, log.created_at, list(log.actions), features]
            values += [log.reward_min, log.reward_max, log.smallest_propensity]
            if connection.execute(_CLAIM, values).rowcount == 0:
                raise InvalidInput("/name", f"a log named {log.name!r} is imported already; choose another name")
            count = _copy(connection, log, rounds)
            connection.execute(_COUNTED, [count, log.name])
            return count

    def read(self, name: str, rows: range | None = None) -> "pl.DataFrame":
        """Rounds in order: row_number, logged_at (UTC, null without a clock), position, action, propensity, reward,
        context as JSON text (see `contexts`), subject, and probabilities as JSON text (see `vectors`).

        Args:
            name: Of the log.
            rows: Consecutive row numbers to read; None reads them all.

        Raises:
            NotFound: No such log.
        """  # noqa: D205 - the columns are the summary
        from cxi_bandit.store.postgres.imported_frames import frame_of  # noqa: PLC0415 - see the module's own first lines

        log = self.find(name)
        wanted = range(log.rows) if rows is None else rows
        buffer = io.BytesIO()
        with (
            self._database.transaction(LONG) as connection,
            connection.cursor() as cursor,
            cursor.copy(_COPY_OUT, [name, wanted.start, wanted.stop]) as copy,
        ):
            for block in copy:
                buffer.write(block)
        return frame_of(buffer)

    def layout(self, name: str) -> ImportedLayout:
        """What all of the log's rounds have. An imported log never changes, so neither does this.

        Raises:
            NotFound: No such log.
        """
        self.find(name)
        with self._database.transaction(LONG) as connection:
            row = connection.execute(_LAYOUT, [name]).fetchone()
        return ImportedLayout(*(row or (False, False, False, False, True)))

    def find(self, name: str) -> ImportedLog:
        """Raises NotFound when there is no such log."""
        for log in self.list():
            if log.name == name:
                return log
        raise NotFound("imported log", name)

    def list(self) -> list[ImportedLog]:
        """All imported logs, oldest first."""
        with self._database.connection() as connection:
            rows = connection.execute(_LOGS).fetchall()
        return [
            ImportedLog(
                name=name,
                kind=kind,
                source_sha256=digest,
                rows=count,
                created_at=created_at,
                actions=tuple(actions),
                action_features=msgspec.json.decode(features, type=tuple[Features, ...]),
                reward_min=reward_min,
                reward_max=reward_max,
                smallest_propensity=smallest,
            )
            for name, kind, digest, count, created_at, actions, features, reward_min, reward_max, smallest in rows
        ]


def _copy(connection: Connection, log: ImportedLog, rounds: Iterable[ImportedRound]) -> int:
    encode = msgspec.json.Encoder().encode
    count = 0
    with connection.cursor() as cursor, cursor.copy(_COPY_IN) as copy:
        for count, row in enumerate(rounds, start=1):
            logged_at, position, action, propensity, reward, context, subject, vector = row
            if not 0 <= action < len(log.actions):
                raise InvalidInput(f"/{count - 1}/action", f"{action} is no index into {len(log.actions)} actions")
            if not 0.0 < propensity <= 1.0:
                raise InvalidInput(f"/{count - 1}/propensity", f"must lie within (0, 1], got {propensity!r}")
            text = encode(context).decode()
            if vector is not None and len(vector) != len(log.actions):
                raise InvalidInput(f"/{count - 1}/probabilities", f"{len(vector)} for {len(log.actions)} actions")
            probabilities = None if vector is None else list(vector)
            row_number = count - 1
            copy.write_row(
                (log.name, row_number, logged_at, position, action, propensity, reward, text, subject, probabilities)
            )
    return count
