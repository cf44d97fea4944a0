"""What is too long, too deep, too many or cut off, sent to a real service over bare sockets."""

import json
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import psutil

BODY_LIMIT = 256 * 1024
HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
DECISION = json.dumps(
    {"surface": "cart", "defect": {"type": "slow_delivery", "severity": 0.5, "confidence": 1.0}}
).encode()
REWARD = {"decision_id": "0192f0c4-6d55-7000-8000-5ca1ab1e0001", "reward_id": "r", "metric": "order", "value": 1.0}


def exchange(port: int, *parts: bytes, half_close: bool = False) -> tuple[int, bytes]:
    """Sends bytes as they are; the status (0 when there was none) and all that came back. Never waits for ever."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        try:
            for part in parts:
                line.sendall(part)
            if half_close:
                line.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: what was answered can still be read
        try:
            while (length := re.search(rb"(?i)content-length: (\d+)", received)) is None or (
                len(received.partition(b"\r\n\r\n")[2]) < int(length[1])
            ):
                piece = line.recv(65536)
                if not piece:
                    break
                received += piece
        except ConnectionResetError:
            pass
    status = re.match(rb"HTTP/1\.1 (\d{3})", received)
    return (int(status[1]) if status else 0), received


def sized(body: bytes, path: bytes = b"/v1/decisions", *headers: bytes) -> tuple[bytes, bytes]:
    return HEAD % path + b"".join(headers) + b"Content-Length: %d\r\n\r\n" % len(body), body


def chunks(data: bytes, size: int) -> bytes:
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def filled(size: int) -> bytes:
    """A decision of exactly `size` bytes."""
    start = DECISION[:-1] + b',"context":{"x":"'
    return start + b"a" * (size - len(start) - 3) + b'"}}'


def processes(service: Any) -> set[int]:
    """All but the database's: those come and go."""
    family = psutil.Process(service.process.pid).children(recursive=True)
    return {process.pid for process in family if "postgres" not in process.name()}


def test_what_is_too_much_is_refused_and_nobody_else_notices(start_service: Callable[..., Any]) -> None:
    service = start_service("--dev")
    service.await_ready()
    port, before = service.port, processes(service)
    post = HEAD % b"/v1/decisions"

    def status(*parts: bytes, half_close: bool = False) -> int:
        return exchange(port, *parts, half_close=half_close)[0]

    # As long as allowed, and one byte more, with a length and without one.
    assert status(*sized(filled(BODY_LIMIT))) == 201
    assert status(*sized(filled(BODY_LIMIT + 1))) == 413
    assert status(post + CHUNKED, chunks(filled(BODY_LIMIT), 7777)) == 201
    code, received = exchange(port, post + CHUNKED, chunks(filled(BODY_LIMIT + 1), 7777))
    assert code == 413
    assert b"application/problem+json" in received
    assert status(post + CHUNKED, chunks(b"a" * (8 << 20), 65536)) == 413
    assert status(post + b"Content-Length: 99999999999\r\n\r\n") == 413
    assert status(post + CHUNKED, chunks(DECISION, 1)) == 201
    # Bodies that break off are the caller's fault, not ours.
    assert status(post + CHUNKED, b"zz\r\n") in (0, 400)
    assert status(post + CHUNKED, b"5\r\nabc", half_close=True) in (0, 400)
    assert status(post + b"Content-Length: 100\r\n\r\n", DECISION[:50], half_close=True) in (0, 400)
    # Heads.
    assert status(*sized(DECISION, b"/v1/decisions", b"X-A: " + b"a" * 30_000 + b"\r\n")) == 201
    assert status(*sized(DECISION, b"/v1/decisions", b"X-A: " + b"a" * 1_000_000 + b"\r\n")) == 431
    assert status(*sized(DECISION, b"/v1/decisions", *(b"X-%d: a\r\n" % number for number in range(1000)))) == 431
    assert status(*sized(DECISION, b"/v1/decisions?" + b"a" * 100_000)) in (414, 431)
    assert status(*sized(DECISION, b"/v1/decisions", b"Idempotency-Key: " + b"a" * 256 + b"\r\n")) == 422
    # Depth: of the whole body, within a free-form feature, within an item of a list.
    deep = b"[" * 100_000 + b"]" * 100_000
    for body in (deep, DECISION[:-1] + b',"context":{"x":' + deep + b"}}", b'{"context":' * 20_000):
        assert status(*sized(body)) in (400, 422)
    code, received = exchange(port, *sized(b"[" + deep[:90_000] + deep[-90_000:] + b"]", b"/v1/rewards"))
    assert (code, b"rejected" in received) in ((202, True), (400, False))
    # Numbers of items.
    for path, one, least in ((b"/v1/decisions/batch", 1, 200), (b"/v1/rewards", REWARD, 202)):
        for count, wanted in ((1000, least), (1001, 422), (0, 422)):
            items = [one] * count
            body = json.dumps({"decisions": items} if path.endswith(b"batch") else items).encode()
            assert status(*sized(body, path)) == wanted, (path, count)
    # What a proxy and a server might read differently is closed on.
    assert b"connection: close" in exchange(port, post + b"Content-Length: 5\r\n" + CHUNKED, chunks(DECISION, 50))[1]
    assert status(post + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\n") == 400
    assert status(post + b"Content-Length: -5\r\n\r\n") == 400
    assert status(b"\x16\x03\x01\x02\x00" + bytes(range(256))) in (0, 400)
    # Connections that say nothing keep nobody out.
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    for line in idle:
        line.sendall(post + b"Content-Length: 100\r\n\r\n{")
    assert httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code == 200
    service.decide()
    for line in idle:
        line.close()
    assert processes(service) == before, "nobody died"
    log = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert [line for line in log if line.get("status", 0) >= 500 or "exception" in line] == []
