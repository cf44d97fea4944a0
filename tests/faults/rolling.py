"""Rolling restarts under load: every request of every caller is answered, whatever generation of workers it meets.

No caller tries again. Some keep their connection, some open one for each request, some are idle for longer than a
handover takes and then use a pooled connection, as HTTP clients do, after a look at whether it has been closed.
"""

import http.client
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import httpx

KEEPING, FRESH, IDLING = 4, 2, 2
IDLE_SECONDS = 2.7
PATIENT = {"Prefer": "wait=9000"}
"""What is held against a restart is a failure, not the slowness of a machine that starts eight processes meanwhile."""
PATIENCE_SECONDS = 60.0


class Rolled(Protocol):
    """A running `cxi-bandit serve` in a process of its own."""

    port: int
    log: Path
    process: Any
    decision: dict[str, Any]


class Rolling(NamedTuple):
    """What callers met: requests that were answered 201, and those that were not, by what happened instead."""

    accepted: int
    failed: int
    failures: dict[str, int]


class Callers:
    """Threads that ask for decisions one after the other until told to stop."""

    def __init__(self, service: Rolled) -> None:
        self._port = service.port
        self._body = json.dumps(service.decision)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._met: Counter[str] = Counter()
        kinds = [*[self._keep] * KEEPING, *[self._open] * FRESH, *[self._idle] * IDLING]
        self._threads = [threading.Thread(target=kind) for kind in kinds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def met(self) -> Rolling:
        """Call it after the block."""
        failures = {what: number for what, number in self._met.items() if what != "201"}
        return Rolling(self._met["201"], sum(failures.values()), failures)

    def _keep(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        self._repeat(lambda: self._post(connection), connection.close)
        connection.close()

    def _open(self) -> None:
        def once() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                return self._post(connection)
            finally:
                connection.close()

        self._repeat(once, lambda: None)

    def _idle(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=10) as client:

            def once() -> int:
                self._stopping.wait(IDLE_SECONDS)
                return client.post("/v1/decisions", content=self._body, headers=PATIENT).status_code

            self._repeat(once, lambda: None)

    def _post(self, connection: http.client.HTTPConnection) -> int:
        connection.request("POST", "/v1/decisions", self._body, PATIENT)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def _repeat(self, once: Callable[[], int], after_failure: Callable[[], object]) -> None:
        while not self._stopping.is_set():
            try:
                what = str(once())
            except (OSError, http.client.HTTPException, httpx.HTTPError) as error:
                what = repr(error)
                after_failure()
            with self._lock:
                self._met[what] += 1


def rolling_restarts(service: Rolled, restarts: int, tell: Callable[[int], object] = lambda _: None) -> Rolling:
    """Rolls the service over `restarts` times with SIGHUP, under load.

    Args:
        tell: Called with the number done so far.
    """
    with Callers(service) as callers:
        time.sleep(0.5)
        for number in range(1, restarts + 1):
            rolled = _rolled(service)
            service.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while _rolled(service) == rolled:
                assert time.monotonic() < deadline, service.log.read_text()[-4000:]
                time.sleep(0.05)
            tell(number)
        time.sleep(0.5)
    return callers.met()


def _rolled(service: Rolled) -> int:
    return service.log.read_text().count('"event":"rolled"')
