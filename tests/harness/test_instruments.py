"""The instruments themselves: a load that tells what became of each request, a link that does what it is told."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.harness import load
from tests.harness.disk import fill, small_disk
from tests.harness.link import Link
from tests.harness.load import Fate, Load, Request

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


class Server(socketserver.ThreadingTCPServer):
    """Answers every request, cuts the connection, or says nothing."""

    daemon_threads = True
    allow_reuse_address = True
    # All can wait at the door: on a busy machine the thread that lets them in comes late.
    request_queue_size = 64
    behaviour = "answer"


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        while self._read():
            if self.server.behaviour == "cut":
                return
            if self.server.behaviour == "answer":
                self.request.sendall(ANSWER)

    def _read(self) -> bool:
        received = b""
        while not received.endswith(b"\r\n\r\n{}"):
            chunk = self.request.recv(4096)
            if not chunk:
                return False
            received += chunk
        return True


@contextmanager
def server(behaviour: str) -> Iterator[int]:
    with Server(("127.0.0.1", 0), Handler) as listening:
        listening.behaviour = behaviour
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("behaviour", "fate", "good"),
    [("answer", Fate.ANSWERED, True), ("cut", Fate.CUT, False), ("silence", Fate.SILENT, False)],
)
def test_every_request_of_an_open_loop_has_its_fate(
    behaviour: str, fate: Fate, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fate is Fate.SILENT:
        monkeypatch.setattr(load, "LONGEST_ANSWER_SECONDS", 0.5)
    with server(behaviour) as port, Load(port, lambda n: Request("/", {}, name=str(n)), 100.0, most=20) as sent:
        answers = sent.finish()
    assert {answer.fate for answer in answers} == {fate}
    assert sorted(int(answer.request.name) for answer in answers) == list(range(20))
    assert all(answer.good is good for answer in answers)
    dues = sorted(answer.due for answer in answers)
    assert 0.18 < dues[-1] - dues[0] < 0.2, "in even steps, whatever becomes of those before"


def test_nobody_at_home_is_told_from_a_connection_that_is_cut() -> None:
    with server("answer") as port:
        pass
    with Load(port, lambda _: Request("/", {}), lanes=2, most=4) as sent:
        assert [answer.fate for answer in sent.finish()] == [Fate.REFUSED] * 4


def test_a_closed_loop_sends_what_follows_upon_an_answer() -> None:
    def follow(answer: load.Answer) -> Request | None:
        return Request("/then", {}) if answer.request.path == "/" else None

    with server("answer") as port, Load(port, lambda _: Request("/", {}), lanes=3, most=6, then=follow) as sent:
        answers = sent.finish()
    assert sorted(answer.request.path for answer in answers) == ["/"] * 6 + ["/then"] * 6


def test_a_link_passes_delays_cuts_and_refuses(postgres_dsn: str) -> None:
    with Link(postgres_dsn) as link:
        with psycopg.connect(link.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            link.cut()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        link.refusing = True
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(link.dsn, connect_timeout=2)
        link.heal()
        with psycopg.connect(link.dsn) as connection:
            assert connection.execute("SELECT 2").fetchone() == (2,)
        assert link.accepted == 3


def test_a_small_disk_can_be_filled_and_freed(tmp_path) -> None:
    try:
        with small_disk(tmp_path, 2) as disk:
            ballast = fill(disk)
            with pytest.raises(OSError, match="No space left"), (disk / "more").open("wb", buffering=0) as file:
                file.write(bytes(1 << 16))
            ballast.unlink()
            assert (disk / "more").write_bytes(bytes(1 << 16)) == 1 << 16
    except PermissionError:
        pytest.skip("mounting is not permitted here")
