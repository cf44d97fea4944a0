"""Hearing what other processes commit: PostgreSQL notifications as a blocking iterator that outlives its connection."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from cxi_bandit.store.postgres.connection import conninfo

_LISTEN: Final = SQL("LISTEN {}")
_PAUSE_SECONDS: Final = 0.5


def listen(dsn: str, channel: str, timeout: timedelta, stopped: Callable[[], bool]) -> Iterator[str | None]:
    """Yields each notification's payload, and None whenever one may have been missed: look for yourself then.

    None comes at every (re)connection, after every `timeout` of silence, and while the database is away. A notification
    is a hint that saves waiting, never the only way to learn of something.

    Args:
        stopped: Asked at least once per `timeout`; the iterator ends when it says so.
    """
    while not stopped():
        try:
            with psycopg.connect(conninfo(dsn, "cxi-bandit listener", None), autocommit=True) as connection:
                connection.execute(_LISTEN.format(Identifier(channel)))
                yield None
                yield from _heard(connection, timeout, stopped)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            yield None
            time.sleep(min(_PAUSE_SECONDS, timeout.total_seconds()))


def _heard(connection: psycopg.Connection, timeout: timedelta, stopped: Callable[[], bool]) -> Iterator[str | None]:
    while not stopped():
        silent = True
        for notification in connection.notifies(timeout=timeout.total_seconds(), stop_after=1):
            silent = False
            yield notification.payload
        if silent:
            yield None
