"""A service of our own for the while: started as a user starts it, in a directory of its own, ended by its id."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from cxi_bandit.domain.errors import Unavailable

_COMMAND: Final = (sys.executable, "-m", "cxi_bandit.cli")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 40.0
_COMMAND_SECONDS: Final = 120.0
_KNOCK_SECONDS: Final = 0.1
_TAIL_LINES: Final = 8


@dataclass(frozen=True, kw_only=True)
class DemoService:
    """A running service.

    Attributes:
        directory: Everything it has on disk; removed by whoever made it.
    """

    port: int
    directory: Path

    @property
    def data_dir(self) -> Path:
        """Where its embedded database is."""
        return self.directory / "data"

    def command(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
        """Runs `cxi-bandit ... --json` beside the service; what it printed.

        Raises:
            Unavailable: It failed; the message has its last words.
        """
        done = subprocess.run(  # noqa: S603 - our own command line, by our own interpreter
            [*_COMMAND, *arguments, "--json"],
            env=_environment(self.directory),
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            raise Unavailable(f"`cxi-bandit {arguments[0]}` ({done.stderr.strip()[-300:]})") from error


@contextmanager
def running_service(directory: Path, manifests: Mapping[str, str]) -> Iterator[DemoService]:
    """Starts the service on a free port with these manifests, waits until it answers, and ends it, come what may.

    Args:
        directory: Empty, and ours.
        manifests: Text by file name.

    Raises:
        Unavailable: It did not come up; the message has its last words.
    """
    policies = directory / "policies"
    policies.mkdir()
    for name, text in manifests.items():
        (policies / name).write_text(text, encoding="utf-8")
    service = DemoService(port=_free_port(), directory=directory)
    with (directory / "service.log").open("wb") as log:
        # A session of its own: Ctrl-C reaches us alone, and we end the service in order.
        process = subprocess.Popen(  # noqa: S603 - our own command line, by our own interpreter
            [*_COMMAND, "serve", "--dev", "--port", str(service.port), "--data-dir", str(service.data_dir)],
            env=_environment(directory),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _await_ready(service, process)
            yield service
        finally:
            _end(process)


def _environment(directory: Path) -> dict[str, str]:
    """Ours, without a word of where the user's own service and database are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CXI_BANDIT_") and name != "DATABASE_URL"
    }
    return {
        **kept,
        "CXI_BANDIT_POLICIES_DIR": str(directory / "policies"),
        "CXI_BANDIT_DATA_DIR": str(directory / "data"),
        "CXI_BANDIT_LOG_LEVEL": "warning",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_ready(service: DemoService, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=1.0)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(_KNOCK_SECONDS)
    lines = (service.directory / "service.log").read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    raise Unavailable("the demo's service (it did not come up: " + " / ".join(lines) + ")")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
