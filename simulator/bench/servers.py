"""The servers that are compared: the service as its users start it, and yardsticks on the same granian.

The service runs with everything on: real keys, rate limits that are counted but never reached, metrics, and the log
line of every request, written to a file.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxi_bandit.domain.errors import Unavailable
from simulator.bench.processes import command, descendants

POLICY: Final = Path(__file__).with_name("policy.toml")
"""The bench's own: 8 interventions with 4 features, 7 context features."""

SHIPPED: Final = tuple(sorted((Path(__file__).parents[2] / "policies").glob("*.toml")))
"""The four manifests that come with the project."""

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_ENDLESS: Final = 1_000_000_000
_API: Final = "cxi_bandit.service"


@dataclass(frozen=True)
class Server:
    """One that answers.

    Args:
        process: The one that was started.
        api: Those that answer requests, and their parent where it is of the same server.
        headers: What every request to it carries.
    """

    port: int
    process: int
    api: tuple[int, ...]
    headers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Service(Server):
    """`cxi-bandit serve`.

    Args:
        environment: Its settings.
        reading: The header of a key that may read, `/metrics` too.
        seconds_to_ready: From its start to the first 2xx of `/health/ready`.
    """

    environment: dict[str, str] = field(default_factory=dict)
    reading: str = ""
    seconds_to_ready: float = 0.0

    @property
    def dsn(self) -> str:
        """Its database's address."""
        return Path(self.environment["CXI_BANDIT_DATA_DIR"], "database.dsn").read_text().strip()


@contextmanager
def service(
    policies: Sequence[Path] = (POLICY,),
    *,
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
    keyed: bool = True,
) -> Iterator[Service]:
    """The service on a database of its own, with keys that may decide and report, and read.

    Args:
        policies: The manifests it serves.
        settings: Environment variables over those of the bench.
        data_dir: One that stays; a new one that goes where None.
        keyed: Whether keys are made; on a data directory that has them, they cannot be made again.

    Raises:
        Unavailable: It does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-bench-") as folder:
        served = Path(folder, "policies")
        served.mkdir()
        for policy in policies:
            shutil.copy(policy, served)
        environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "CXI_BANDIT_POLICIES_DIR": str(served),
            "CXI_BANDIT_DATA_DIR": str(data_dir or Path(folder, "data")),
            "CXI_BANDIT_LOG_LEVEL": "info",
            "CXI_BANDIT_RATE_PER_SECOND": str(_ENDLESS),
            "CXI_BANDIT_RATE_BURST": str(_ENDLESS),
            "CXI_BANDIT_WORKERS": str(workers),
            "CXI_BANDIT_PORT": str(_free_port()),
            **(settings or {}),
        }
        port = int(environment["CXI_BANDIT_PORT"])
        started = time.monotonic()
        with Path(folder, "log").open("wb") as log, _running([*_CLI, "serve"], environment, log.fileno()) as process:
            _await(f"http://127.0.0.1:{port}/health/ready", process)
            seconds = time.monotonic() - started
            yield Service(
                port=port,
                process=process.pid,
                api=tuple(pid for pid in descendants(process.pid) if _API in command(pid)),
                headers=[_key(environment, "decide", "reward")] if keyed else [],
                reading=_key(environment, "read") if keyed else "",
                environment=environment,
                seconds_to_ready=seconds,
            )


@contextmanager
def bare() -> Iterator[Server]:
    """The plain handler.

    Raises:
        Unavailable: It does not come up.
    """
    with _granian("simulator.bench.bare:create_app", dict(os.environ)) as server:
        yield server


@contextmanager
def unlogged(beside: Service) -> Iterator[Server]:
    """The service's own application, on the same database, whose decisions are logged nowhere; see `no_log`.

    Raises:
        Unavailable: It does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-bench-") as folder:
        environment = {
            **beside.environment,
            "DATABASE_URL": beside.dsn,
            "CXI_BANDIT_DATA_DIR": folder,
            "PROMETHEUS_MULTIPROC_DIR": folder,
        }
        with (
            Path(folder, "log").open("wb") as log,
            _granian("simulator.bench.no_log:open_app", environment, log.fileno()) as server,
        ):
            yield Server(server.port, server.process, server.api, beside.headers)


_CLI: Final = [sys.executable, "-m", "cxi_bandit.cli"]


@contextmanager
def _granian(target: str, environment: dict[str, str], log: int | None = None) -> Iterator[Server]:
    """An application under granian with the service's own settings."""
    port = _free_port()
    options = {"interface": "asgi", "http": "1", "workers": "1", "loop": "uvloop", "backlog": "2048"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    started = [sys.executable, "-m", "granian", target, "--factory", "--no-ws", "--log-level", "warning", *words]
    with _running([*started, "--port", str(port)], environment, log) as process:
        _await(f"http://127.0.0.1:{port}/health/live", process)
        yield Server(port=port, process=process.pid, api=(process.pid, *descendants(process.pid)))


def _key(environment: dict[str, str], *scopes: str) -> str:
    asked = ["keys", "create", "--name", f"bench-{scopes[0]}", "--json"]
    words = [*_CLI, *asked, *(word for scope in scopes for word in ("--scope", scope))]
    made = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True, timeout=_START_SECONDS)  # noqa: S603 - our own command
    return f"Authorization: Bearer {json.loads(made.stdout)['secret']}"


@contextmanager
def _running(started: list[str], environment: dict[str, str], log: int | None) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(started, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own commands
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1.0):  # noqa: S310 - our own loopback address
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:  # noqa: PLR2004 - it answers, and that is all the bare one can do
                return
        except OSError:
            pass
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"the server at {url}")
