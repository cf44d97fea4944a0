"""A link to PostgreSQL that can be made slow, narrow, silent or cut, while both ends believe in it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_CHUNK = 64 * 1024


class Link:
    """Forwards a TCP port of the loopback address to a server's Unix socket, from a thread of its own.

    Its faults are set while it runs:
    `delay_seconds`, before each chunk of an answer is passed on; `bytes_per_second` of an answer, 0 for no limit;
    `refusing` new connections; `silent`, both ends stay connected and hear nothing more: half-open.
    """

    def __init__(self, dsn: str) -> None:
        given = conninfo_to_dict(dsn)
        self._target = Path(str(given["host"])) / f".s.PGSQL.{given.get('port', 5432)}"
        self._given = {name: value for name, value in given.items() if name not in ("host", "port")}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._passable = asyncio.Event()
        self.delay_seconds = 0.0
        self.bytes_per_second = 0.0
        self.refusing = False
        self.accepted = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def dsn(self) -> str:
        """The server's address through this link."""
        return make_conninfo(**self._given, host="127.0.0.1", port=self.port, sslmode="disable")

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._open) // 2

    def cut(self) -> None:
        """Ends every connection there is, as a restart of a load balancer would."""
        self._call(self._cut)

    def silence(self) -> None:
        """Nothing passes any more, in either direction; new connections are accepted, and not answered."""
        self._call(self._passable.clear)

    def heal(self, *, forget: bool = False) -> None:
        """Takes every fault away. What was held back is passed on, unless the link is to `forget` the connections
        there were: they stay silent for ever, as behind a firewall that lost its state.
        """
        self.delay_seconds = self.bytes_per_second = 0.0
        self.refusing = False
        if forget:
            self._generation += 1
        self._call(self._passable.set)

    def _call(self, what: Callable[[], object]) -> None:
        async def call() -> None:
            what()

        self._do(call())

    def _do(self, what):
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        self._passable.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _close(self) -> None:
        self._server.close()
        self._cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(str(self._target))
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._open |= ends
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer, self._generation)),
            asyncio.create_task(self._pump(far_reader, writer, self._generation, answers=True)),
        ]
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._pumps.difference_update(pumps)
            for end in ends:
                end.close()
            self._open -= ends

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, generation: int, *, answers: bool = False
    ) -> None:
        with suppress(OSError):
            while chunk := await source.read(_CHUNK):
                if answers and self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if answers and self.bytes_per_second:
                    await asyncio.sleep(len(chunk) / self.bytes_per_second)
                await self._passable.wait()
                if generation != self._generation:
                    continue
                sink.write(chunk)
                await sink.drain()
