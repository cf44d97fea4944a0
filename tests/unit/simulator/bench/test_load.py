"""The load's process against a server that says when it was asked: what is counted is what happened."""

import socket
import threading
import time
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.bench.load import Client, encoded
from simulator.bench.orders import Order, rank


class Answering(threading.Thread):
    """Answers every request of every connection with what `answer` makes of its number, in one thread each."""

    def __init__(self, answer) -> None:
        super().__init__(daemon=True)
        self.answer = answer
        self.bodies: list[bytes] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection) -> None:
        with connection, connection.makefile("rb") as lines:
            while line := lines.readline():
                length = 0
                while line not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                    line = lines.readline()
                self.bodies.append(lines.read(length))
                for part in self.answer(len(self.bodies)):
                    connection.sendall(part)


@contextmanager
def answering(answer):
    server = Answering(answer)
    server.start()
    try:
        yield server
    finally:
        server.listening.close()


def response(body: bytes = b"{}", status: bytes = b"201 Created") -> bytes:
    return b"HTTP/1.1 %s\r\nserver: x\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def carried_out(order: Order):
    client = Client(order, encoded(order))
    try:
        return client.run()
    finally:
        client.close()


def order(server, **changes) -> Order:
    made = Order(port=server.port, path="/v1", bodies=["a", "bb", "ccc"], connections=2, seconds=0.2)
    return msgspec.structs.replace(made, **changes)


def test_a_closed_loop_counts_every_answer_once() -> None:
    with answering(lambda _: [response()]) as server:
        load = carried_out(order(server))
    assert load.answered == len(server.bodies) > 2
    assert set(server.bodies) == {b"a", b"bb", b"ccc"}
    assert load.refused == 0


def test_an_answer_in_pieces_is_one_answer() -> None:
    body = b'{"a": "' + b"x" * 50_000 + b'"}'
    whole = response(body)
    with answering(lambda _: [whole[:5], whole[5:40], whole[40:]]) as server:
        load = carried_out(order(server, keep=1))
    assert load.answered == len(server.bodies)
    assert load.kept == [body.decode()]


def test_refusals_are_counted_apart() -> None:
    refusal = response(status=b"503 Service Unavailable")
    with answering(lambda number: [refusal if number % 2 else response()]) as server:
        load = carried_out(order(server, connections=1, bodies=["a"] * 10, once=True))
    assert (load.answered, load.refused) == (5, 5)


def test_nothing_is_sent_twice_where_it_must_not() -> None:
    with answering(lambda _: [response()]) as server:
        load = carried_out(order(server, once=True))
    assert (load.answered, sorted(server.bodies)) == (3, [b"a", b"bb", b"ccc"])


def test_an_open_loop_counts_the_wait_for_a_connection() -> None:
    def stalling(number: int) -> list[bytes]:
        if number == 1:
            time.sleep(0.4)
        return [response()]

    with answering(stalling) as server:
        load = carried_out(order(server, connections=1, per_second=100.0, seconds=0.4, seed=3))
    # Everything that was due while the only connection waited has waited as well: half of it for at least 0.1 s.
    assert load.answered == len(server.bodies) > 10
    assert load.p50_ms > 100


def test_an_open_loop_sends_the_same_arrivals_for_the_same_seed() -> None:
    with answering(lambda _: [response()]) as server:
        loads = [carried_out(order(server, per_second=200.0, seed=seed)) for seed in (1, 1)]
    assert loads[0].answered == loads[1].answered > 10


def test_a_connection_that_is_closed_is_no_measurement() -> None:
    with answering(lambda _: [response()]) as server:
        server.serve = lambda connection: connection.close()
        asked = order(server)
        with pytest.raises(ConnectionError):
            carried_out(asked)


@given(st.lists(st.floats(min_value=0, max_value=10), min_size=1), st.floats(min_value=0.01, max_value=1.0))
def test_a_quantile_is_the_least_value_that_enough_do_not_exceed(values, share) -> None:
    ordered = sorted(values)
    found = rank(ordered, share)
    reached = sum(value <= found for value in ordered)
    below = sum(value < found for value in ordered)
    assert reached >= share * len(ordered) - 1e-6
    assert below < share * len(ordered)
