"""What a database needs now and then, whoever runs it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.engine.ports import Clock
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.telemetry.metrics import Metrics

_IDEMPOTENCY: Final = timedelta(hours=24)
_DELIVERIES: Final = timedelta(days=90)
_BUDGETS: Final = timedelta(days=90)
_EVERY_SECONDS: Final = 3600.0
_SOON_SECONDS: Final = 1.0


def keep_up(store: PostgresStore, now: datetime) -> None:
    """What must not wait: partitions ahead of time, idempotency keys and webhook ids no longer than they are promised.

    What was leased of a day stays to be looked at for a while; a permit goes when it counts for nothing any more.

    Raises:
        Unavailable: Writers were too busy; call again later.
    """
    store.partitions.ensure(now.date())
    store.partitions.prune_idempotency_keys(now - _IDEMPOTENCY)
    store.deliveries.prune(now - _DELIVERIES)
    store.budgets.prune((now - _BUDGETS).date())
    store.permits.prune(now)


class Upkeep:
    """The learner's regular upkeep: what must not wait, and what retention lets go.

    Args:
        errand: Something else that is due now and then; says in how many seconds it is due again. It comes first: a
            reader who is in retention's way keeps nothing else from being done.
    """

    def __init__(
        self,
        store: PostgresStore,
        clock: Clock,
        settings: Settings,
        log: FilteringBoundLogger,
        metrics: Metrics,
        errand: Callable[[], float] = lambda: _EVERY_SECONDS,
    ) -> None:
        self._errand = errand
        self._store = store
        self._clock = clock
        self._keep = timedelta(days=settings.retention_days) if settings.retention_days else None
        self._keep_parked = timedelta(days=settings.parked_days)
        self._log = log
        self._metrics = metrics

    def turn(self) -> float:
        """Does what is due, for a few seconds at most, and says in how many seconds to call it again.

        Raises:
            Unavailable: Writers were too busy; call again later.
        """
        due_seconds = self._errand()
        now = self._clock()
        keep_up(self._store, now)
        dropped = self._store.retention.drop(now, self._keep, self._keep_parked)
        numbers = {"day": len(dropped.days), "reward": dropped.rewards, "parked": dropped.parked}
        for kind, number in numbers.items():
            if number:
                self._metrics.dropped.labels(kind).inc(number)
        if any(numbers.values()):
            self._log.info("dropped", days=[day.isoformat() for day in dropped.days], **numbers)
        return min(_EVERY_SECONDS if dropped.finished else _SOON_SECONDS, due_seconds)
