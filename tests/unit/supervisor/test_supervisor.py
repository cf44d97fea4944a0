import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import msgspec
import pytest
import structlog
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.data_dir import Taken
from cxi_bandit.bootstrap.process import await_database
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.settings import Settings
from cxi_bandit.supervisor import gate as gates
from cxi_bandit.supervisor.api import Api
from cxi_bandit.supervisor.child import Child
from cxi_bandit.supervisor.gate import Gate
from cxi_bandit.supervisor.listener import listen


@pytest.fixture
def log() -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    return logger


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(listen("127.0.0.1", 0)) as listening:
        yield listening


class Fake:
    """A generation that comes up, or does not."""

    def __init__(self, works: bool, told: list[str], name: str) -> None:
        self._works = works
        self._tell = lambda what: told.append(f"{name} {what}")

    def keep_running(self) -> None:
        self._tell("runs")

    def serves(self, workers: int) -> bool:
        assert workers
        return self._works

    def drain(self) -> None:
        self._tell("drains")

    def hand_over(self, workers: int) -> None:
        self._tell(f"hands over {workers}")

    def end(self) -> None:
        self._tell("ends")


def api(told: list[str], works: list[bool], listener: socket.socket, log: FilteringBoundLogger) -> Api:
    names = iter(enumerate(works))

    def make() -> Fake:
        number, working = next(names)
        return Fake(working, told, "old" if number == 0 else "new")

    return Api(make, listener, Settings(workers=2, drain_seconds=0.0), log)  # type: ignore[arg-type]


def test_a_new_generation_takes_over_before_the_old_one_ends(
    listener: socket.socket, log: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxi_bandit.supervisor.api._HANDOVER_SECONDS", 0.0)
    told: list[str] = []
    rolling = api(told, [True, True], listener, log)
    assert rolling.roll(lambda: True)
    rolling.keep_running()
    rolling.end()
    assert told == ["new runs", "old hands over 2", "old ends", "new runs", "new drains", "new ends"]
    assert listener.fileno() == -1, "new connections are refused from now on"


def test_one_that_does_not_come_up_is_ended_and_the_old_one_stays(
    listener: socket.socket, log: FilteringBoundLogger
) -> None:
    told: list[str] = []
    rolling = api(told, [True, False], listener, log)
    going_on = iter([True, True, False])
    assert not rolling.roll(lambda: next(going_on))
    rolling.keep_running()
    assert told == ["new runs", "new runs", "new runs", "new ends", "old runs"]


WAITING = (
    "import os, sys; sys.stdout.close(); os.write(int(os.environ['OUT']), os.read(int(os.environ['IN']), 99) or b'-')"
)


def test_children_wait_at_the_gate_until_the_database_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    hearing, saying = os.pipe()

    def spawn(module: str, environment: dict[str, str], descriptors: tuple[int, ...]) -> object:
        assert module == "cxi_bandit.worker"
        child = {**environment, "IN": environment["CXI_BANDIT_DATABASE_FD"], "OUT": str(saying)}

        return subprocess.Popen([sys.executable, "-c", WAITING], env=child, pass_fds=(*descriptors, saying))

    monkeypatch.setattr(gates, "spawn", spawn)
    gate = Gate()
    early = gate.spawn("cxi_bandit.worker", dict(os.environ))
    with pytest.raises(Exception, match="timed out"):
        early.wait(0.3)
    gate.open("postgresql://there")
    assert early.wait(10) == 0
    late = gate.spawn("cxi_bandit.worker", dict(os.environ))
    assert late.wait(10) == 0
    assert os.read(hearing, 999) == b"postgresql://there" * 2
    shut = Gate()
    refused = shut.spawn("cxi_bandit.worker", dict(os.environ))
    shut.close()
    assert refused.wait(10) == 0
    assert os.read(hearing, 9) == b"-"
    os.close(hearing)
    os.close(saying)


def test_a_child_that_is_sent_away_says_so() -> None:
    for told, dsn in ((b"postgresql://there", "postgresql://there"), (b"", None)):
        reading, writing = os.pipe()
        os.write(writing, told)
        os.close(writing)
        settings = Settings(database_fd=reading)
        if dsn is None:
            with pytest.raises(Unavailable):
                await_database(settings)
        else:
            assert await_database(settings) == msgspec.structs.replace(settings, database_url=dsn, database_fd=-1)


def test_an_address_is_waited_for_only_where_it_is_about_to_be_free(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    waited: list[float] = []
    monkeypatch.setattr("cxi_bandit.supervisor.listener.time.sleep", waited.append)
    with pytest.raises(Taken, match="something else listens"):
        listen("127.0.0.1", port)
    assert len(waited) <= 1, "once, where two readings of the clock are the same"
    # The one that is about to end does so while it is waited for.
    monkeypatch.setattr("cxi_bandit.supervisor.listener.time.sleep", lambda _: listener.close())
    listen("127.0.0.1", port, 30.0).close()
    with pytest.raises(Taken, match="cannot listen"):
        listen("192.0.2.1", port)


def test_a_child_is_started_again_ever_more_slowly(log: FilteringBoundLogger) -> None:

    started: list[float] = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(time.monotonic())
        return subprocess.Popen([sys.executable, "-c", "pass"])

    child = Child("test", start, log)
    deadline = time.monotonic() + 30
    while len(started) < 4 and time.monotonic() < deadline:
        child.keep_running()
        time.sleep(0.01)
    child.end()
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert pauses[0] >= 0.2
    assert pauses[2] >= 0.8


def test_a_child_that_does_not_end_is_killed(log: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr("cxi_bandit.supervisor.child._DRAIN_SECONDS", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    child = Child("test", lambda: process, log)
    child.keep_running()
    child.end()
    assert process.returncode == -signal.SIGKILL
    process.stdout.close()
