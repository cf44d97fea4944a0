"""The overview of a real service: what its learner counted, live to whoever looks, and in nobody's way at the end."""

import json
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.harness.service import MANIFEST, until

HOLDING = MANIFEST.replace("horizon_seconds = 3600", "horizon_seconds = 1") + "\n[rollout]\nhold_share = 0.2\n"


class Looking:
    """A browser that keeps the overview open and asks again when a stream ends, as browsers do."""

    def __init__(self, port: int) -> None:
        self.events: list[str] = []
        self.streams = 0
        self.broken = 0
        self._address = f"http://127.0.0.1:{port}/console/live"
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while True:
            try:
                with httpx.stream("GET", self._address, timeout=30) as answer:
                    self.streams += 1
                    for line in answer.iter_lines():
                        if line.startswith("event:"):
                            self.events.append(line)
            except httpx.RemoteProtocolError:
                self.broken += 1
            except httpx.TransportError:
                return

    def ended(self) -> bool:
        self._thread.join(10)
        return not self._thread.is_alive()


def test_the_learner_counts_and_the_page_and_its_stream_tell(start_service: Callable[..., Any]) -> None:
    service = start_service("--dev", workers=2, manifest=HOLDING)
    service.await_ready()
    looking = [Looking(service.port) for _ in range(4)]
    for number in range(40):
        service.decide(subject=f"shopper-{number}")
    page = ""

    def counted() -> bool:
        nonlocal page
        page = service.client.get("/console").text
        return "<dd>40</dd>" in page

    until(counted, 60)
    assert "<dt>Left alone</dt><dd>20 %</dd>" in page
    until(lambda: all(one.events for one in looking), 30)
    assert set(looking[0].events) <= {"event: numbers", "event: figures"}
    service.process.send_signal(signal.SIGHUP)
    until(lambda: all(one.streams > 1 for one in looking), 30)
    assert sum(one.broken for one in looking) == 0, "a worker that is replaced ends its streams itself"
    started = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    assert time.monotonic() - started < 15, "nobody who looks holds up the end"
    assert all(one.ended() for one in looking)
    made = json.loads(service.run("recount", "--json").stdout)
    assert made["later"] is False
    assert made["counted"] >= 40
