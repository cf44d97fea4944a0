"""The writer: a decision becomes durable in the log, or on the local disk while the log is away, and says which."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from structlog.typing import FilteringBoundLogger

from cxi_bandit.domain.decision import Decision, Durability
from cxi_bandit.domain.errors import IdempotencyConflict, Unavailable
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.service.batcher import Batcher, Full, Late, Overdue
from cxi_bandit.telemetry.metrics import Metrics

DecisionBatcher = Batcher[DecisionEntry, Decision | IdempotencyConflict]
SpoolBatcher = Batcher[DecisionEntry, None]


_LEAST_SECONDS: Final = 0.1
"""The disk is given this long however little of a deadline the log has left: the answer is worth more than that."""


class Written(NamedTuple):
    """The decision that stands, or why none does, and what stands behind it."""

    standing: Decision | IdempotencyConflict
    durability: Durability


class NotWritten(Unavailable):
    """Neither the log nor the spool takes decisions now."""

    def __init__(self) -> None:
        super().__init__("the decision log, and the spool in its place,")


class Writer:
    """Writes to the log while it answers, to the spool from the moment it does not until somebody says that it does.

    A decision whose commit stalled or failed is spooled under the same id, so it does not matter whether that commit
    comes through after all. One that could not be spooled either may still be in the log: it is abandoned there.
    """

    def __init__(
        self, log_batcher: DecisionBatcher, spool_batcher: SpoolBatcher, metrics: Metrics, log: FilteringBoundLogger
    ) -> None:
        self._log_batcher = log_batcher
        self._spool_batcher = spool_batcher
        self._metrics = metrics
        self._log = log
        self._away = False
        self._spooled = metrics.spool_moves.labels("spooled")

    @property
    def away(self) -> bool:
        """Whether decisions go to the spool now."""
        return self._away

    def log_answers(self) -> None:
        """The log has taken something: it is written to again. Called on the event loop."""
        if self._away:
            self._away = False
            self._metrics.log_away.set(0)
            self._log.warning("decision_log_back")

    @property
    def at_once(self) -> int:
        """The most decisions that can be written together."""
        return min(self._log_batcher.at_once, self._spool_batcher.at_once)

    async def write(self, entries: Sequence[DecisionEntry], deadline_seconds: float) -> list[Written]:
        """Makes decisions durable, all or none.

        Raises:
            NotWritten: Nothing takes them now.
            Unavailable: Too many wait, or the deadline passed.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_seconds
        tried_log = not self._away
        if tried_log:
            try:
                landed = await self._log_batcher.submit(entries, deadline_seconds)
                return [Written(standing, Durability.COMMITTED) for standing in landed]
            except (Full, Late, Overdue):
                # Too much to do is no reason to take on more: only a log that does not answer is.
                raise
            except Unavailable as error:
                self._leave(error)
        try:
            await self._spool_batcher.submit(entries, max(deadline - loop.time(), _LEAST_SECONDS))
        except Unavailable as error:
            if tried_log or isinstance(error, Overdue):
                self._log_batcher.abandon(entries)
            raise NotWritten from error
        self._spooled.inc(len(entries))
        return [Written(entry.decision, Durability.SPOOLED) for entry in entries]

    def _leave(self, error: Unavailable) -> None:
        if not self._away:
            self._away = True
            self._metrics.log_away.set(1)
            self._log.error("decision_log_away", reason=str(error), meaning="decisions are kept in the spool")
