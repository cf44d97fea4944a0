"""The learner counts beside its work: for a fifteenth of the time at most while anything is joined or learned."""

import time
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.tallies import Span, start_of
from cxi_bandit.engine.count import MINUTES_KEPT, PIECE, count
from cxi_bandit.telemetry.metrics import Metrics

_REST_FOR_OTHERS: Final = 14.0
"""So many times as long as a piece took it is let be afterwards, where others have work to do."""
_REST_SECONDS: Final = 1.0
_AFTER_FAILURE_SECONDS: Final = 60.0
_PRUNE_SECONDS: Final = 3600.0


class Counting:
    """Counts a piece whenever its turn has come. What it leaves waits; an overview says how far it has come."""

    def __init__(self, engine: Engine, log: FilteringBoundLogger, metrics: Metrics) -> None:
        self._engine = engine
        self._log = log
        self._metrics = metrics
        self._due = self._prune_at = 0.0

    def turn(self, *, others_busy: bool) -> bool:
        """Counts a piece; whether more is waiting and there is time for it.

        Raises:
            Unavailable: The database is away; nothing is lost, turn again.
        """
        started = time.monotonic()
        if started < self._due:
            return False
        try:
            counted = self._count(started)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever ails a picture must not keep anybody from learning
            self._due = started + _AFTER_FAILURE_SECONDS
            self._metrics.learner_errors.labels(type(error).__name__).inc()
            self._log.exception("not_counted", reason=str(error), again_in_seconds=_AFTER_FAILURE_SECONDS)
            return False
        ended = time.monotonic()
        if not counted:
            self._due = ended + _REST_SECONDS
        elif others_busy:
            rest = _REST_FOR_OTHERS * (ended - started)
            # A few decisions cost almost as much as many: where nothing is left waiting, more may come together first.
            self._due = ended + (rest if counted >= PIECE else max(rest, _REST_SECONDS))
        return bool(counted) and not others_busy

    def _count(self, started: float) -> int:
        store, now = self._engine.store, self._engine.clock()
        counted = count(store.registry, store.tallies, now)
        if started >= self._prune_at:
            store.tallies.forget_minutes(start_of(Span.MINUTE, now - MINUTES_KEPT))
            self._prune_at = started + _PRUNE_SECONDS
        return counted
