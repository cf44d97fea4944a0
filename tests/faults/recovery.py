"""Recovery: how long after a kill -9 until the first decision is answered with a 2xx again."""

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, Self

import psutil

SERVICE_SECONDS, DATABASE_SECONDS = 3.0, 10.0
"""What is promised: after the service was killed, and after the database was."""
PATIENCE_SECONDS = 60.0


class Killed(Protocol):
    """A running `cxi-bandit serve` in a process of its own, on an embedded database."""

    port: int
    data_dir: Path
    process: "subprocess.Popen[bytes]"
    decision: dict[str, Any]

    def start(self) -> "subprocess.Popen[bytes]":
        """Starts it once more."""
        ...


Find = Callable[[Killed], list[psutil.Process]]


class Probe:
    """Asks for a decision again and again, and remembers the longest time without an answer."""

    def __init__(self, service: Killed) -> None:
        self._port = service.port
        self._body = json.dumps(service.decision)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest_seconds = 0.0
        self.last_answer = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def await_answer(self, since: float) -> None:
        """Waits until a question was answered after `since`, by the monotonic clock."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.last_answer < since:
            assert time.monotonic() < deadline, "it did not recover"
            time.sleep(0.01)

    def _ask(self) -> None:
        while not self._stopping.is_set():
            if self._answered():
                now = time.monotonic()
                self.longest_seconds = max(self.longest_seconds, now - self.last_answer)
                self.last_answer = now
            time.sleep(0.01)

    def _answered(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("POST", "/v1/decisions", self._body)
            return connection.getresponse().status == http.HTTPStatus.CREATED
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def recoveries(service: Killed) -> Iterator[tuple[str, float]]:
    """Kills one part after the other; for how many seconds nothing was answered until it had been made up for.

    What is left of a killed service may answer for a moment more: the time counts from the last answer, not the blow.
    """
    for name, find in (("worker", _workers), ("api", _api), ("supervisor", _supervisor), ("database", _database)):
        with Probe(service) as probe:
            probe.await_answer(time.monotonic())
            probe.longest_seconds = 0.0
            victims = find(service)
            for victim in victims:
                victim.kill()
            if name == "supervisor":
                service.process.wait()
                service.process = service.start()  # as an init system does
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not _replaced(service, find, victims):
                assert time.monotonic() < deadline, f"the {name} did not come back"
                time.sleep(0.02)
            probe.await_answer(time.monotonic())
        yield name, probe.longest_seconds


def _replaced(service: Killed, find: Find, victims: list[psutil.Process]) -> bool:
    """Whether all of it is there again, in other processes, down to workers that are the API's own."""
    try:
        there = find(service)
        return len(there) == len(victims) and not set(there) & set(victims) and len(_workers(service)) > 0
    except (psutil.Error, OSError, ValueError, IndexError):
        return False


def _api(service: Killed) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children()
    return [child for child in children if "cxi_bandit.service" in child.cmdline()]


def _workers(service: Killed) -> list[psutil.Process]:
    return [worker for api in _api(service) for worker in api.children()]


def _supervisor(service: Killed) -> list[psutil.Process]:
    return [psutil.Process(service.process.pid)]


def _database(service: Killed) -> list[psutil.Process]:
    return [psutil.Process(int((service.data_dir / "database" / "postmaster.pid").read_text().split()[0]))]
