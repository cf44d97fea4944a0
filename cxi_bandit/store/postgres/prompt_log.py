"""The decision log without a thread: a batch is written to a socket by the event loop, and its commit read from it.

Handing a batch to a thread and its answer back wakes two threads up, and where few wait for a commit that costs more
than the commit. So what is plain is sent by the loop itself, through libpq's own non-blocking calls. Whatever is not
plain (a key that was used before, a connection that is not there, an answer that is anything but "all of them are new")
is the thread's, which sends the same batch by the log's own way: that is safe, and says what was the matter.
"""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, LiteralString

import msgspec
from psycopg import Error
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format
from psycopg.pq.abc import PGresult

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import IdempotencyConflict, Unavailable
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.postgres import decision_rows
from cxi_bandit.store.postgres.connection import SHORT, Connection, Database
from cxi_bandit.store.postgres.decision_log import PostgresDecisionLog, appending

Landed = Sequence[Decision | IdempotencyConflict]

_JSON_OID: Final = 114

# Claims keys before. All of them are free, or the division undoes everything: then it takes another statement to see
# whose they are, and that is the log's own way. Keys come first, as they do there.
_CLAIM: Final[LiteralString] = """claimed AS (
  INSERT INTO idempotency_keys (caller, key, body_sha256, decision_id)
  SELECT caller, key, body_sha256, decision_id
  FROM json_to_recordset($2::json) AS given (caller text, key text, body_sha256 bytea, decision_id uuid)
  ORDER BY caller, key
  ON CONFLICT (caller, key) DO NOTHING
  RETURNING 1
), """
_ALL_CLAIMED: Final[LiteralString] = "WHERE 1 / ((SELECT count(*) FROM claimed) = json_array_length($2::json))::int = 1"
_PLAIN: Final = b"append"
_KEYED: Final = b"claim and append"
_STATEMENTS: Final = {
    _PLAIN: appending("$1"),
    _KEYED: appending("$1", first=_CLAIM, only_where=_ALL_CLAIMED),
}
_NO_STATEMENT: Final = b"26000"
_AGAIN_SECONDS: Final = 1.0
"""A connection that could not be made is tried for again, beside a batch, after so long."""


class _Flight:
    """A batch that was sent: who waits for it, its number with the watchdog, and what came back so far."""

    __slots__ = ("answer", "entries", "results", "watched")

    def __init__(self, entries: Sequence[DecisionEntry], answer: "asyncio.Future[Landed | None]", watched: int) -> None:
        self.entries = entries
        self.answer = answer
        self.watched = watched
        self.results: list[PGresult] = []


class PromptDecisionLog:
    """Appends on one event loop, one batch at a time, over a connection of its own.

    `append` belongs to one thread, `prompt` and `close` to the loop. The connection is made in a thread that ends with
    it, and handed to the loop: nobody's answer waits for it.
    """

    def __init__(self, log: PostgresDecisionLog, database: Database) -> None:
        self._log = log
        self._database = database
        self._missing = True
        self._making: threading.Thread | None = None
        self._handing = threading.Lock()
        self._made: Connection | None = None
        self._closed = False
        self._try_at = 0.0
        self._connection: Connection | None = None
        self._descriptor = -1
        self._flight: _Flight | None = None

    def append(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        """The port's own way. A log that answers is one to which the loop's connection can be made, if it has none."""
        landed = self._log.append(entries)
        making = self._making is not None and self._making.is_alive()
        if self._missing and not making and self._made is None and time.monotonic() >= self._try_at:
            self._try_at = time.monotonic() + _AGAIN_SECONDS
            self._making = threading.Thread(target=self._connect, name="decision-log-connection", daemon=True)
            self._making.start()
        return landed

    def prompt(self, entries: Sequence[DecisionEntry]) -> "asyncio.Future[Landed | None]":
        """What `append` gives, without a thread; None where `append` is to be asked, which is safe in any case."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Landed | None] = loop.create_future()
        if self._made is not None:
            self._take_up(self._made)
        connection = self._connection
        if connection is None:
            answer.set_result(None)
            return answer
        statement, documents = _asked(entries)
        formats = [Format.BINARY] * len(documents)
        self._flight = _Flight(entries, answer, self._database.watch(connection))
        try:
            connection.pgconn.send_query_prepared(statement, documents, formats, Format.BINARY)
            self._flush()
        except Error:
            self._lose()
        return answer

    def close(self) -> None:
        """Hangs up, once nothing is under way any more."""
        with self._handing:
            self._closed = True
        if self._made is not None:
            self._take_up(self._made)
        self._lose()
        self._missing = False

    def _connect(self) -> None:
        # What fails here is nobody's batch: another one will ask again.
        with suppress(Unavailable, Error):
            made = self._database.dedicated("cxi-bandit decisions", SHORT)
            try:
                for number, (name, statement) in enumerate(_STATEMENTS.items(), 1):
                    prepared = made.pgconn.prepare(name, statement.encode(), [_JSON_OID] * number)
                    if prepared.status != ExecStatus.COMMAND_OK:
                        raise error_from_result(prepared)
                made.pgconn.nonblocking = 1
            except Error:
                made.close()
                raise
            with self._handing:
                if self._closed:
                    made.close()
                else:
                    self._made = made

    def _take_up(self, made: Connection) -> None:
        self._connection, self._made, self._missing = made, None, False
        # Of our own: libpq closes its descriptor when the server goes, and the number may be another file's at once.
        self._descriptor = os.dup(made.fileno())
        asyncio.get_running_loop().add_reader(self._descriptor, self._hear)

    def _flush(self) -> None:
        """Sends what is left to be sent, now or when the socket takes more."""
        if self._connection is not None and self._connection.pgconn.flush():
            asyncio.get_running_loop().add_writer(self._descriptor, self._go_on)

    def _go_on(self) -> None:
        if self._connection is None:
            return
        asyncio.get_running_loop().remove_writer(self._descriptor)
        try:
            self._flush()
        except Error:
            self._lose()

    def _hear(self) -> None:
        """Something came: of the batch under way, or the server's farewell."""
        if self._connection is None:
            return
        pgconn, flight = self._connection.pgconn, self._flight
        try:
            pgconn.consume_input()
            # The row comes before the commit: only that nothing more will come says that it has committed.
            while flight is not None and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._land(flight)
                    break
                flight.results.append(result)
        except Error:
            self._lose()
        else:
            if pgconn.status != ConnStatus.OK:
                self._lose()

    def _land(self, flight: _Flight) -> None:
        self._flight = None
        self._database.leave(flight.watched)
        if not flight.answer.done():
            flight.answer.set_result(_landed(flight))
        if _unprepared(flight):
            self._lose()

    def _lose(self) -> None:
        """The connection is of no use any more. Whether a batch under way was committed is for `append` to find out."""
        connection, flight = self._connection, self._flight
        self._connection, self._flight, self._missing = None, None, True
        if flight is not None:
            self._database.leave(flight.watched)
            if not flight.answer.done():
                flight.answer.set_result(None)
        if connection is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._descriptor)
            loop.remove_writer(self._descriptor)
            os.close(self._descriptor)
            connection.close()


class _Claim(msgspec.Struct, frozen=True, gc=False):
    """A key and what it is to stand for, as a row in JSON."""

    caller: str
    key: str
    body_sha256: str
    decision_id: DecisionId


_encode: Final = msgspec.json.Encoder().encode


def _asked(entries: Sequence[DecisionEntry]) -> tuple[bytes, list[bytes]]:
    """Which statement appends these, and what it is given."""
    document = decision_rows.encoded([entry.decision for entry in entries])
    claims = [
        _Claim(token.caller, token.key, f"\\x{token.body_sha256.hex()}", entry.decision.decision_id)
        for entry in entries
        if (token := entry.idempotency) is not None
    ]
    return (_KEYED, [document, _encode(claims)]) if claims else (_PLAIN, [document])


def _landed(flight: _Flight) -> Landed | None:
    """Every decision as itself, where the server says that all of them are new, and nothing else."""
    if len(flight.results) != 1 or flight.results[0].status != ExecStatus.TUPLES_OK:
        return None
    new = flight.results[0].get_value(0, 0)
    if new is None or int.from_bytes(new) != len(flight.entries):
        return None
    return [entry.decision for entry in flight.entries]


def _unprepared(flight: _Flight) -> bool:
    """Whether the session knows our statements no more, as where something between changes servers: it never will."""
    said = [result.error_field(DiagnosticField.SQLSTATE) for result in flight.results]
    return _NO_STATEMENT in said
