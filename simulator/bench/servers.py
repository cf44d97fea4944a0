"""The two servers that are compared: the service as a user starts it, and the bare yardstick on the same granian."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cxi_bandit.domain.errors import Unavailable

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_POLICY: Final = Path(__file__).with_name("policy.toml")


@contextmanager
def service(workers: int = 1) -> Iterator[int]:
    """`cxi-bandit serve` with the benchmark's policy on a database of its own; yields its port.

    Raises:
        Unavailable: It does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-bench-") as folder:
        policies = Path(folder, "policies")
        policies.mkdir()
        shutil.copy(_POLICY, policies)
        port = _free_port()
        environment = {
            **os.environ,
            "CXI_BANDIT_POLICIES_DIR": str(policies),
            "CXI_BANDIT_DATA_DIR": str(Path(folder, "data")),
            "CXI_BANDIT_LOG_LEVEL": "info",
        }
        command = [sys.executable, "-m", "cxi_bandit.cli", "serve", "--dev"]
        arguments = ["--port", str(port), "--workers", str(workers)]
        # The log line of every request is written, as in production, but to a file.
        with Path(folder, "log").open("wb") as log, _running([*command, *arguments], environment, log.fileno()):
            _await(f"http://127.0.0.1:{port}/health/ready")
            yield port


@contextmanager
def bare() -> Iterator[int]:
    """The yardstick under granian with the service's own settings; yields its port.

    Raises:
        Unavailable: It does not come up.
    """
    port = _free_port()
    command = [sys.executable, "-m", "granian", "simulator.bench.bare:create_app", "--factory"]
    options = ["--interface", "asgi", "--port", str(port), "--workers", "1", "--loop", "uvloop", "--no-ws"]
    with _running([*command, *options, "--log-level", "warning"], dict(os.environ), None):
        _await(f"http://127.0.0.1:{port}/health")
        yield port


@contextmanager
def _running(command: list[str], environment: dict[str, str], log: int | None) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own commands
    try:
        yield
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1.0):  # noqa: S310 - our own loopback address
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:  # noqa: PLR2004 - it answers, and that is all the yardstick can do
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise Unavailable(f"the server at {url}")
