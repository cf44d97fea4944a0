"""The supervisor: owns the data directory and the embedded database, and keeps the API and the learner running."""

import errno
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.data_dir import Taken, owned
from cxi_bandit.bootstrap.database import RunningDatabase, running_database
from cxi_bandit.bootstrap.upkeep import keep_up
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.engine.install import install
from cxi_bandit.settings import Settings
from cxi_bandit.store.migrate import upgrade
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.telemetry.metrics import MULTIPROCESS_VARIABLE

_POLL_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 30.0
_STABLE_SECONDS: Final = 30.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0


class Child:
    """A process that is to run for as long as the supervisor does."""

    def __init__(self, module: str, environment: dict[str, str], log: FilteringBoundLogger) -> None:
        self._module = module
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._due = 0.0

    def keep_running(self) -> None:
        """Starts it, or starts it again when it has ended: soon at first, ever more slowly if it keeps ending."""
        now = time.monotonic()
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._process = None
            stable = now - self._started > _STABLE_SECONDS
            self._pause_seconds = (
                _FIRST_PAUSE_SECONDS if stable else min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
            )
            self._due = now + self._pause_seconds
            self._log.error("child_ended", module=self._module, status=status, again_in_seconds=self._pause_seconds)
        if now >= self._due:
            self._started = now
            # A session of its own: Ctrl-C reaches the supervisor alone, which then ends its children in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [sys.executable, "-m", self._module], env=self._environment, start_new_session=True
            )

    def end(self) -> None:
        """SIGTERM, and SIGKILL for one that has not drained in time."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._log.error("child_killed", module=self._module, reason="it did not end in time")
            self._process.kill()
            self._process.wait()


def supervise(settings: Settings, log: FilteringBoundLogger, ready: Callable[[], object] = lambda: None) -> None:
    """Runs the service until SIGTERM or SIGINT.

    Args:
        ready: Called once, when the first request would be answered.

    Raises:
        Taken: Another service runs on the data directory, or something else listens on the address.
        Unavailable: The database does not answer.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with owned(settings):
        _check_address(settings.host, settings.port)
        with running_database(settings) as database:
            prepare(database.dsn, settings)
            _run(database, settings, stopping, log, ready)
    log.info("stopped")


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


def _run(
    database: RunningDatabase,
    settings: Settings,
    stopping: threading.Event,
    log: FilteringBoundLogger,
    ready: Callable[[], object],
) -> None:
    environment = _environment(database.dsn, settings)
    learner = Child("cxi_bandit.worker", environment, log)
    api = Child("cxi_bandit.service", environment, log)
    announced = False
    try:
        while not stopping.is_set():
            try:
                if database.keep_running():
                    log.error("database_restarted")
            except Unavailable as error:
                log.warning("database_down", reason=str(error))
            learner.keep_running()
            api.keep_running()
            if not announced and _ready(settings):
                announced = True
                ready()
            stopping.wait(_POLL_SECONDS)
    finally:
        # The API first, so that all it accepted is answered while the database is there.
        api.end()
        learner.end()


def _environment(dsn: str, settings: Settings) -> dict[str, str]:
    shutil.rmtree(settings.metrics_dir, ignore_errors=True)
    settings.metrics_dir.mkdir(parents=True)
    return {
        **os.environ,
        **settings.environment(),
        "DATABASE_URL": dsn,
        "CXI_BANDIT_PARENT_PID": str(os.getpid()),
        MULTIPROCESS_VARIABLE: str(settings.metrics_dir.resolve()),
    }


def _check_address(host: str, port: int) -> None:
    """Two servers can share a port without a word (SO_REUSEPORT), so it is tried without that first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Taken(f"something else listens on {host}:{port}; choose another --port") from error
            raise Taken(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _ready(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - where to knock
    connection = http.client.HTTPConnection(host, settings.port, timeout=1.0)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
