"""Whether a decision that is asked for now would be made, and be durable when it is answered."""

import asyncio
from concurrent.futures import Executor
from typing import Final, Literal, Protocol

import msgspec

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.errors import CxiBanditError, Unavailable
from cxi_bandit.service.draining import Draining
from cxi_bandit.service.routing import in_thread

_PATIENCE_SECONDS: Final = 2.0


class Refuge(Protocol):
    """Where decisions are durable while the database is away."""

    def has_room(self) -> bool:
        """Whether it would take one more now. Answers at once, on the event loop."""
        ...


class ReadyAnswer(msgspec.Struct, frozen=True):
    """What stands behind the next decision.

    Attributes:
        status: `degraded` when decisions are answered from the refuge alone.
        policies: How many are served.
    """

    status: Literal["ok", "degraded"]
    policies: int
    database: Literal["ok", "away"]
    spool: Literal["ok", "full"]


class Readiness:
    """Asks the parts. However many ask at once, and however long the database hangs, one thread waits for it."""

    def __init__(self, engine: Engine, threads: Executor, draining: Draining, refuge: Refuge) -> None:
        self._engine = engine
        self._threads = threads
        self._draining = draining
        self._refuge = refuge
        self._asking: asyncio.Task[bool] | None = None

    async def check(self) -> ReadyAnswer:
        """The parts, when together they answer decisions.

        Raises:
            Unavailable: They do not, or this worker is about to end; says which part is missing.
        """
        if self._draining.begun:
            raise Unavailable("this worker (it is about to end)")
        policies = len(list(self._engine.serving.policies))
        if not policies:
            raise Unavailable("every policy (none is loaded)")
        database: Literal["ok", "away"] = "ok" if await self._database_answers() else "away"
        spool: Literal["ok", "full"] = "ok" if self._refuge.has_room() else "full"
        if database == "away" and spool == "full":
            raise Unavailable("the database (and the spool is full)")
        return ReadyAnswer("ok" if database == "ok" else "degraded", policies, database, spool)

    async def _database_answers(self) -> bool:
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        done, _ = await asyncio.wait([self._asking], timeout=_PATIENCE_SECONDS)
        return any(task.result() for task in done)

    async def _ask(self) -> bool:
        try:
            await in_thread(self._threads, self._engine.store.registry.heads)
        except CxiBanditError:
            return False
        finally:
            self._asking = None
        return True
