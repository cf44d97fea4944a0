"""Limits at the desk: a shopper's permit is asked for before the draw, which pays at once from this worker's leases."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.domain.identifiers import DecisionId, InterventionId
from cxi_bandit.engine.choose import Chosen
from cxi_bandit.engine.limiting import Bounds, Spending
from cxi_bandit.engine.ports import PermitRequest
from cxi_bandit.service.batcher import Batcher, Full, Late, Overdue
from cxi_bandit.service.leases import WorkerLeases
from cxi_bandit.service.routing import in_thread
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics

PermitBatcher = Batcher[PermitRequest, dict[InterventionId, str]]

_ENTRIES: Final = 128
"""Of one transaction, each of which locks a shopper: the server's lock table is for all workers."""
_PATIENCE_SECONDS: Final = 0.25
"""How long a permit is waited for; without one the shopper gets what is not capped, which may be only `hold`."""


def open_limits(
    engine: Engine, settings: Settings, log: FilteringBoundLogger, metrics: Metrics, away: Callable[[], bool]
) -> "Limits":
    """A worker's limits over its engine.

    Args:
        away: Whether the decision log is away now: then there are no permits either, and nobody waits to hear so.
    """
    permits = engine.store.permits
    batcher: PermitBatcher = Batcher(
        "permits",
        permits.take,
        metrics,
        queue_entries=settings.queue_entries,
        batch_entries=_ENTRIES,
        retries=0,
        stall_seconds=settings.stall_ms / 1000,
        abandon=lambda asked: permits.release([one.decision_id for one in asked]),
    )
    leases = WorkerLeases(engine.store.budgets, engine.serving, engine.clock, log, metrics)
    return Limits(leases, batcher, metrics, away)


class Limits:
    """What decisions take of budgets and caps, from before their draw until it is known whether they stand."""

    def __init__(
        self, leases: WorkerLeases, batcher: PermitBatcher, metrics: Metrics, away: Callable[[], bool]
    ) -> None:
        self._leases = leases
        self._batcher = batcher
        self._metrics = metrics
        self._away = away
        self._permits: dict[DecisionId, PermitRequest] = {}
        self._spent: dict[DecisionId, tuple[Spending, ...]] = {}

    def start(self) -> None:
        """Leases what the first requests need. Call it in a thread, once it is known what is served."""
        self._leases.start()

    async def stop(self, threads: Executor) -> None:
        """Ends when no decision is under way any more: releases what is to be released, gives back what is left."""
        await self._batcher.drain()
        await in_thread(threads, self._leases.stop)

    async def permit(self, asked: PermitRequest | None) -> Bounds:
        """What one decision may draw and pay; `draw` it with that and say what becomes of it, or `lapse` it."""
        if asked is None:
            return self.unpermitted
        try:
            if self._away():
                return self._without(asked)
            refused = (await self._batcher.submit((asked,), _PATIENCE_SECONDS))[0]
        except (Full, Late, Overdue):
            # Nothing was written, or the batcher sees to it.
            return self._without(asked)
        except CxiBanditError:
            self._batcher.abandon((asked,))
            return self._without(asked)
        permitted = asked.wanted - refused.keys()
        self._metrics.permits.labels(asked.policy, "refused" if refused else "taken").inc()
        if permitted and asked.keep:
            self._permits[asked.decision_id] = asked
        return Bounds(self._leases, permitted, refused)

    @property
    def unpermitted(self) -> Bounds:
        """The bounds of a decision for which nobody was asked about the shopper."""
        return Bounds(self._leases)

    @property
    def drawing(self) -> AbstractContextManager[object]:
        """Within it the leases stay as they are but for what is spent."""
        return self._leases.deciding

    def pay(self, chosen: Chosen) -> None:
        """Takes what the draw cost, within `drawing`."""
        if chosen.spendings:
            self._leases.spend(chosen.spendings)
            self._spent[chosen.decision.decision_id] = chosen.spendings

    def stands(self, decision_id: DecisionId, *, logged: bool) -> None:
        """The decision was answered.

        Args:
            logged: Whether it is in the log already, where it counts by itself: its permit is not needed any more.
        """
        self._leases.tell(self._spent.pop(decision_id, ()))
        asked = self._permits.pop(decision_id, None)
        if logged and asked is not None:
            self._batcher.abandon((asked,))

    def lapse(self, decision_id: DecisionId) -> None:
        """Another decision stands, or none: this one is in no log, and never will be."""
        self._leases.refund(self._spent.pop(decision_id, ()))
        asked = self._permits.pop(decision_id, None)
        if asked is not None:
            self._batcher.abandon((asked,))

    def unknown(self, *decisions: DecisionId) -> None:
        """The decisions may be in the log or not: what they took stays taken."""
        for decision_id in decisions:
            self._spent.pop(decision_id, None)
            self._permits.pop(decision_id, None)

    def _without(self, asked: PermitRequest) -> Bounds:
        self._metrics.permits.labels(asked.policy, "away").inc()
        return Bounds(self._leases)
