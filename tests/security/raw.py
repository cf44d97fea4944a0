"""Requests straight into the application, byte for byte: no client in between that would mend them."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote_to_bytes

from litestar import Litestar

Headers = Sequence[tuple[bytes, bytes]]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """Speaks ASGI as granian does: the path decoded, headers in lower case, the body in one piece or several.

    Runs the application's start and end on an event loop of its own.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        for hook in self._app.on_startup:
            self._runner.run(hook())  # type: ignore[call-arg, arg-type]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._app.on_shutdown:
            self._runner.run(hook())  # type: ignore[call-arg, arg-type]
        self._runner.close()

    def send(
        self,
        method: str,
        target: bytes,
        headers: Headers = (),
        *pieces: bytes,
        broken_off: bool = False,
        silent: bool = False,
    ) -> Answer:
        """One request.

        Args:
            target: Path and query as on the wire.
            broken_off: The caller goes away when it has sent the pieces, with more of them to come.
            silent: The caller stays, and sends no more.
        """
        return self._runner.run(self._send(method, target, headers, pieces or (b"",), broken_off, silent))

    async def _send(
        self, method: str, target: bytes, headers: Headers, pieces: Sequence[bytes], broken_off: bool, silent: bool
    ) -> Answer:
        path, _, query = target.partition(b"?")
        told = [(name.lower(), value) for name, value in headers]
        scope: Any = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": told if any(name == b"host" for name, _ in told) else [(b"host", b"localhost"), *told],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
            "state": {},
        }
        left = list(pieces)
        status, answered, body = 0, {}, b""

        async def receive() -> Any:
            if not left:
                if silent:
                    await asyncio.Event().wait()
                return {"type": "http.disconnect"}
            piece = left.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(left) or broken_off or silent}

        async def send(message: Any) -> None:
            nonlocal status, answered, body
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")

        await self._app(scope, receive, send)
        return Answer(status, answered, body)
