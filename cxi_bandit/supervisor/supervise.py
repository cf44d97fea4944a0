"""Starting, watching, rolling over and ending all of the service."""

import http.client
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.data_dir import owned
from cxi_bandit.bootstrap.database import RunningDatabase, running_database
from cxi_bandit.bootstrap.upkeep import keep_up
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.engine.install import install
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import upgrade
from cxi_bandit.supervisor.api import Api, Generation
from cxi_bandit.supervisor.child import Child
from cxi_bandit.supervisor.gate import Gate
from cxi_bandit.supervisor.listener import listen
from cxi_bandit.telemetry.exposition import MULTIPROCESS_VARIABLE
from cxi_bandit.telemetry.tracing import check_traces

_POLL_SECONDS: Final = 0.1
_ORPHANS_SECONDS: Final = 10.0
# A model's table of weights comes from the kernel untouched, and goes back to it. Otherwise glibc keeps the first one
# freed, clears all of it for each of the next, and a worker holds two or three times 4 MB of which a model uses little.
_APART_BYTES: Final = 1 << 20


class Wishes:
    """What the signals ask for."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.roll = threading.Event()

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP rolls over; but one that is a terminal's hanging up stops, too."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        wished = self.stop if sys.stdin is not None and sys.stdin.isatty() else self.roll
        signal.signal(signal.SIGHUP, lambda *_: wished.set())


def supervise(settings: Settings, log: FilteringBoundLogger, ready: Callable[[], object] = lambda: None) -> None:
    """Runs the service until SIGTERM or SIGINT.

    Args:
        ready: Called once, when the first request would be answered.

    Raises:
        Taken: Another service runs on the data directory, or something else listens on the address.
        Unavailable: The database does not answer.
        InvalidInput: Traces are wished for, and what sends them is not installed.
    """
    check_traces(settings)
    wishes = Wishes()
    wishes.listen_to_signals()
    with ExitStack() as ending:
        crashed = ending.enter_context(owned(settings))
        patience = _ORPHANS_SECONDS if crashed else 0.0
        listener = ending.enter_context(closing(listen(settings.host, settings.port, patience)))
        gate = Gate()
        environment = _environment(settings)
        learner = Child("learner", lambda: gate.spawn("cxi_bandit.worker", environment), log)
        api = Api(lambda: Generation(listener, environment, gate, log), listener, settings, log)
        ending.callback(_end, gate, api, learner)
        # They load their code while the database starts.
        api.keep_running()
        learner.keep_running()
        database = ending.enter_context(running_database(settings))
        # Before the database, and the API first: all that it accepted is answered while the database is there.
        ending.callback(_end, gate, api, learner)
        prepare(database.dsn, settings)
        gate.open(database.dsn)
        _watch(database, api, learner, wishes, log, lambda: _tell(settings, ready))
    log.info("stopped")


def _end(gate: Gate, api: Api, learner: Child) -> None:
    gate.close()
    api.end()
    learner.end()


def prepare(dsn: str, settings: Settings) -> None:
    """Brings the database to this version's schema, makes partitions ahead, installs the manifests. Idempotent."""
    upgrade(dsn)
    now = datetime.now(UTC)
    store = PostgresStore.open(dsn)
    try:
        keep_up(store, now)
        install(store.registry, settings.manifest_texts(), now, actor="serve")
    finally:
        store.close()


def _watch(
    database: RunningDatabase,
    api: Api,
    learner: Child,
    wishes: Wishes,
    log: FilteringBoundLogger,
    announce: Callable[[], bool],
) -> None:
    def keep_running() -> bool:
        try:
            if database.keep_running():
                log.error("database_restarted")
        except Unavailable as error:
            log.warning("database_down", reason=str(error))
        learner.keep_running()
        return not wishes.stop.is_set()

    announced = False
    while keep_running():
        api.keep_running()
        announced = announced or announce()
        if wishes.roll.is_set():
            wishes.roll.clear()
            log.info("rolling")
            if api.roll(keep_running):
                learner.end()
                log.info("rolled")
        wishes.stop.wait(_POLL_SECONDS)


def _environment(settings: Settings) -> dict[str, str]:
    shutil.rmtree(settings.metrics_dir, ignore_errors=True)
    settings.metrics_dir.mkdir(parents=True)
    return {
        "MALLOC_MMAP_THRESHOLD_": str(_APART_BYTES),
        **os.environ,
        **settings.environment(),
        "CXI_BANDIT_PARENT_PID": str(os.getpid()),
        MULTIPROCESS_VARIABLE: str(settings.metrics_dir.resolve()),
    }


def _tell(settings: Settings, ready: Callable[[], object]) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - where to knock
    connection = http.client.HTTPConnection(host, settings.port, timeout=1.0)
    try:
        connection.request("GET", "/health/ready")
        answered = connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    if answered:
        ready()
    return answered
