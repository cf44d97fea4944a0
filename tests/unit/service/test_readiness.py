import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.errors import SpoolFull, Unavailable
from cxi_bandit.service import readiness
from cxi_bandit.service.app import create_app
from cxi_bandit.service.draining import Draining
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import FileSpool, SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.local import local_client

DECISION = {"surface": "detail_page", "defect": {"type": "price_jump", "severity": 0.5, "confidence": 0.5}}

Serve = Callable[..., "TestClient[Litestar]"]


@pytest.fixture
def serve(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> Serve:
    def make(**parts: Any) -> TestClient[Litestar]:
        app = create_app(engine, Settings(dev=True), quiet, Metrics(), shelf, **parts)
        return local_client(app)

    return make


def away(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def heads() -> None:
        raise Unavailable("the database")

    monkeypatch.setattr(engine.store.registry, "heads", heads)


@pytest.mark.parametrize(
    ("database", "room", "said"),
    [
        ("ok", True, {"status": "ok", "policies": 1, "database": "ok", "spool": "ok"}),
        ("ok", False, {"status": "ok", "policies": 1, "database": "ok", "spool": "full"}),
        ("away", True, {"status": "degraded", "policies": 1, "database": "away", "spool": "ok"}),
        ("away", False, {"status": 503}),
    ],
)
def test_ready_means_that_a_decision_would_be_durable(
    engine: Engine,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    room: bool,
    said: dict[str, Any],
) -> None:
    monkeypatch.setattr(FileSpool, "has_room", lambda _: room)
    with serve() as client:
        if database == "away":
            away(engine, monkeypatch)
        answer = client.get("/health/ready")
        assert answer.json() | said == answer.json()
        assert answer.status_code == (503 if said["status"] == 503 else 200)
        if answer.status_code == 503:
            assert "database" in answer.json()["detail"]
            assert answer.headers["retry-after"] == "1"


def test_a_spool_has_room_until_it_refuses(shelf: SpoolShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxi_bandit.store.spool.slot._encode", lambda entry: entry)
    monkeypatch.setattr(FileSpool, "_note", lambda self, segment, *_: self._waiting[segment.number].append(None))
    spool = shelf.claim()
    taken = 0
    while spool.has_room():
        spool.append([b"x" * 10_000])
        taken += 1
    assert taken > 10
    spool.append([b"x" * 10_000])  # what was left of the last segment
    with pytest.raises(SpoolFull):
        spool.append([b"x" * 10_000])


def test_without_policies_nothing_is_ready(engine: Engine, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(engine.serving), "policies", property(lambda _: ()))
    with serve() as client:
        assert "none is loaded" in client.get("/health/ready").json()["detail"]


def test_a_worker_about_to_end_answers_and_sends_its_callers_elsewhere(serve: Serve) -> None:
    draining = Draining()
    with serve(draining=draining) as client:
        assert "connection" not in client.post("/v1/decisions", json=DECISION).headers
        draining.begin()
        late = client.post("/v1/decisions", json=DECISION)
        assert (late.status_code, late.headers["connection"]) == (201, "close")
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200


def test_draining_begins_when_the_other_end_of_the_line_is_gone(serve: Serve) -> None:
    reading, writing = os.pipe()
    draining = Draining()
    client = serve(draining=draining)

    def follow() -> None:
        draining.follow(reading, -1)
        draining.follow(-1, -1)

    client.app.on_startup.append(follow)
    with client:
        assert client.get("/health/ready").status_code == 200
        os.close(writing)
        deadline = time.monotonic() + 5
        while not draining.begun and time.monotonic() < deadline:
            time.sleep(0.01)
        assert client.get("/health/ready").status_code == 503
    os.close(reading)


def test_one_thread_waits_for_a_database_that_hangs_however_many_ask(
    engine: Engine, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE_SECONDS", 0.1)
    asked, answers = [], threading.Event()

    def heads() -> list[object]:
        asked.append(1)
        answers.wait(10)
        return []

    with serve() as client, ThreadPoolExecutor(8) as pool:
        monkeypatch.setattr(engine.store.registry, "heads", heads)
        codes = {answer.status_code for answer in pool.map(client.get, ["/health/ready"] * 8)}
        assert codes == {200}, "the spool stands in"
        asked_while_it_hung = len(asked)
        answers.set()
        assert asked_while_it_hung <= 2  # the worker's own poll for models is the other


def test_a_worker_whose_place_is_taken_accepts_no_more_and_keeps_what_it_accepted(tmp_path: Path) -> None:
    script = tmp_path / "accepting.py"
    script.write_text(ACCEPTING)
    subprocess.run([sys.executable, script], check=True, timeout=30)


ACCEPTING = """
import os, select, socket
from cxi_bandit.service.draining import stop_accepting

shared = socket.create_server(("127.0.0.1", 0))
shared.setblocking(False)
first = socket.create_connection(shared.getsockname())
other = os.dup(shared.fileno())
watching = select.epoll()
watching.register(other, select.EPOLLIN)
select.select([shared], [], [], 5)
accepted, _ = shared.accept()
if pid := os.fork():
    assert os.waitpid(pid, 0)[1] == 0
    # What came afterwards is accepted here, by the one that goes on.
    select.select([shared], [], [], 5)
    shared.accept()
else:
    at = shared.getsockname()
    stop_accepting(shared.fileno())
    second = socket.create_connection(at)
    watching.poll(1)
    for descriptor in (shared.fileno(), other):
        try:
            socket.socket(fileno=descriptor).accept()
        except BlockingIOError:
            continue
        raise SystemExit(1)
    first.send(b"x")
    accepted.setblocking(True)
    raise SystemExit(accepted.recv(1) != b"x")
"""
