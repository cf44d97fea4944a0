"""Connections: one pool per process, short timeouts, and driver errors turned into the domain's words."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.store.postgres.watchdog import Watchdog

Connection = psycopg.Connection[TupleRow]

SHORT: Final = timedelta(seconds=5)
LONG: Final = timedelta(minutes=5)
# One message of two statements.
_SNAPSHOT: Final = f"""
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = '{LONG.total_seconds():.0f}s'
"""
# What a block may take beyond the time the server itself allows each of its statements.
_GRACE: Final = timedelta(seconds=2)

# A server that has become a read-only standby, or whose grants were changed, is as good as away.
_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    psycopg.errors.InsufficientPrivilege,
)

_PART: Final = "the database"

# A half-open connection must fail within seconds, not after the kernel's two hours.
_LIVENESS: Final = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# The same for the server: what a machine held that fell off the network, locks above all, must be free within seconds.
# On a Unix socket they mean nothing, and change nothing.
_SERVER_LIVENESS: Final = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

_NO_DSN: Final = (
    "is no address of a PostgreSQL; write postgresql://user:password@host:5432/database, "
    "with each of % @ : / ? # in the password percent-encoded (%40 for @)"
)


def conninfo(dsn: str, application: str, statement_timeout: timedelta | None) -> str:
    """`dsn` with our liveness and session settings; what the DSN says itself about liveness stands.

    Args:
        application: Shown in `pg_stat_activity`.
        statement_timeout: None for connections that wait on purpose (listeners, writer locks).
    """
    given = parsed(dsn)
    milliseconds = 0 if statement_timeout is None else int(statement_timeout.total_seconds() * 1000)
    settings = {
        **_SERVER_LIVENESS,
        "statement_timeout": str(milliseconds),
        # A process that hangs between statements must not hold back the sequencer, or vacuum, for ever.
        "idle_in_transaction_session_timeout": "60000",
        "timezone": "UTC",
    }
    options = " ".join([str(given.get("options") or ""), *(f"-c {name}={value}" for name, value in settings.items())])
    absent = {name: value for name, value in _LIVENESS.items() if name not in given}
    return make_conninfo(dsn, **absent, options=options.strip(), application_name=application)


def parsed(dsn: str) -> dict[str, Any]:
    """What `dsn` says, option by option.

    A password with an `@` or a `:` in it that is not percent-encoded ends up in the host or the port, and an error of
    the driver would print it: so those are looked at here, and nothing of the DSN is repeated.

    Raises:
        InvalidInput: It is no DSN.
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise InvalidInput("DATABASE_URL", _NO_DSN) from None
    host, name, ports = (str(given.get(option) or "") for option in ("host", "dbname", "port"))
    if "@" in host + name or not all(port.isdecimal() for port in ports.split(",") if port):
        raise InvalidInput("DATABASE_URL", _NO_DSN)
    return given


@contextmanager
def translated(part: str = _PART) -> Iterator[None]:
    """Turns the driver's errors into the domain's.

    Raises:
        Unavailable: The database is away, full, too slow, reads only, does not let us, or broke a deadlock: the call
            may be repeated once somebody has seen to it.
        InvalidInput: A value cannot be stored at all, such as text with a NUL character.
    """
    try:
        yield
    except psycopg.Error as error:
        ours = _in_our_words(error, part)
        if ours is None:
            raise
        raise ours from error


def _in_our_words(error: psycopg.Error, part: str) -> Unavailable | InvalidInput | None:
    if isinstance(error, _AWAY):
        return Unavailable(part)
    if isinstance(error, psycopg.errors.CheckViolation):
        # A day's partition was attached while the row was on its way into the default one; sent again, it finds it.
        return Unavailable(part) if error.diag.table_name == "decisions_default" else None
    if isinstance(error, psycopg.DataError):
        # The first line only: those after it quote the row.
        reason = next(iter(str(error).splitlines()), "")
        return InvalidInput("", f"holds a value the database cannot keep: {reason}".rstrip())
    return None


class _Taken:
    """A connection of the pool for the length of a block, watched, and with the driver's errors in our words.

    Every commit of a decision comes through here, so it is a class, not generators in each other. The driver's own
    block around a connection is left out: it commits, which a connection in autocommit mode has done already. What a
    block leaves undone, the pool undoes when it gets the connection back.
    """

    __slots__ = ("_connection", "_number", "_pool", "_timeout", "_watchdog")

    def __init__(self, pool: ConnectionPool[Connection], watchdog: Watchdog, timeout: timedelta) -> None:
        self._pool = pool
        self._watchdog = watchdog
        self._timeout = timeout

    def __enter__(self) -> Connection:
        with translated():
            self._connection = self._pool.getconn()
        self._number = self._watchdog.watch(self._connection, self._timeout + _GRACE)
        return self._connection

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._watchdog.leave(self._number)
        self._pool.putconn(self._connection)
        if isinstance(error, psycopg.Error) and (ours := _in_our_words(error, _PART)) is not None:
            raise ours from error


class PoolUse(msgspec.Struct, frozen=True):
    """How a pool is used now, and what it has counted since it was opened.

    Attributes:
        idle: Of the connections, those that nobody uses.
        waiting: Requests for a connection that wait now.
        waited: Of the requests ever made, those that found none idle.
        failed: Those of them that gave up.
        lost: Connections found broken, and replaced.
    """

    connections: int = 0
    idle: int = 0
    waiting: int = 0
    requests: int = 0
    waited: int = 0
    waited_ms: int = 0
    failed: int = 0
    lost: int = 0


class Database:
    """A pool of connections in autocommit mode: one statement is one transaction unless a block asks for more.

    Args:
        wait: How long a caller waits for a free connection before it gets `Unavailable`.
    """

    def __init__(
        self, dsn: str, *, min_size: int = 1, max_size: int = 8, wait: timedelta = timedelta(seconds=2)
    ) -> None:
        self.dsn = dsn
        self._pool = ConnectionPool(
            conninfo(dsn, "cxi-bandit", SHORT),
            min_size=min_size,
            max_size=max_size,
            timeout=wait.total_seconds(),
            kwargs={"autocommit": True},
            # The pool's own retries back off to minutes; given up at once, the next caller's request tries again.
            reconnect_timeout=1.0,
            open=False,
            name="cxi-bandit",
        )
        # One connection that fell silent is seldom alone: the idle ones beside it are replaced too.
        self._watchdog = Watchdog(self._pool.drain)

    def open(self) -> None:
        """Connects. Raises Unavailable when the database does not answer."""
        with translated():
            self._pool.open(wait=False)
            try:
                self._pool.wait(timeout=10)
            except BaseException:
                self._pool.close()
                raise

    def close(self) -> None:
        """Closes every connection; calls under way end first."""
        self._pool.close()
        self._watchdog.stop()

    def use(self) -> PoolUse:
        """The pool's own counts, without waiting for anything."""
        counts = self._pool.get_stats()
        return PoolUse(
            connections=counts.get("pool_size", 0),
            idle=counts.get("pool_available", 0),
            waiting=counts.get("requests_waiting", 0),
            requests=counts.get("requests_num", 0),
            waited=counts.get("requests_queued", 0),
            waited_ms=counts.get("requests_wait_ms", 0),
            failed=counts.get("requests_errors", 0),
            lost=counts.get("connections_lost", 0),
        )

    def connection(self) -> AbstractContextManager[Connection]:
        """A connection whose every statement commits by itself, within the short timeout."""
        return self._taken(SHORT)

    @contextmanager
    def transaction(self, timeout: timedelta = SHORT) -> Iterator[Connection]:
        """A connection in a transaction: committed when the block ends well, undone otherwise."""
        with self._taken(timeout) as connection, connection.transaction():
            if timeout != SHORT:
                connection.execute("SELECT set_config('statement_timeout', %s, true)", [_milliseconds(timeout)])
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A reading transaction whose statements all see the same moment, within the long timeout."""
        with self._taken(LONG) as connection, connection.transaction():
            connection.execute(_SNAPSHOT)
            yield connection

    def _taken(self, timeout: timedelta) -> AbstractContextManager[Connection]:
        return _Taken(self._pool, self._watchdog, timeout)

    @contextmanager
    def watched(self, connection: Connection) -> Iterator[None]:
        """Bounds a short use of a dedicated connection by the short timeout, as the pool's own are bounded."""
        with translated(), self._watchdog.watching(connection, SHORT + _GRACE):
            yield

    def watch(self, connection: Connection) -> int:
        """As `watched`, for a use that ends elsewhere: `leave` it by the number that this returns."""
        return self._watchdog.watch(connection, SHORT + _GRACE)

    def leave(self, number: int) -> None:
        """A use that `watch` bounds is over."""
        self._watchdog.leave(number)

    def dedicated(self, application: str, statement_timeout: timedelta | None = None) -> Connection:
        """A connection outside the pool. The caller closes it.

        Args:
            statement_timeout: None for one that waits on purpose.
        """
        with translated():
            return psycopg.connect(conninfo(self.dsn, application, statement_timeout), autocommit=True)


def _milliseconds(timeout: timedelta) -> str:
    return str(int(timeout.total_seconds() * 1000))
