"""What a process's connections to the database are used for, told as metrics every second."""

import threading
from typing import Final

from cxi_bandit.store.postgres.connection import Database, PoolUse
from cxi_bandit.telemetry.metrics import Metrics

_EVERY_SECONDS: Final = 1.0


class PoolWatch:
    """One thread that reads the pool's own counts; who asks for a connection pays nothing for it.

    Args:
        process: `worker`, `learner`.
    """

    def __init__(self, database: Database, process: str, metrics: Metrics) -> None:
        self._database = database
        self._process = process
        self._metrics = metrics
        self._before = PoolUse()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pool-watch", daemon=True)

    def start(self) -> None:
        """Looks once, then goes on in the background."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stopping.set()
        self._thread.join(timeout=1.0)

    def look(self) -> None:
        """Tells how things are, and counts what happened since the last look."""
        use, before, metrics = self._database.use(), self._before, self._metrics
        self._before = use
        metrics.pool_connections.labels(self._process, "idle").set(use.idle)
        metrics.pool_connections.labels(self._process, "used").set(use.connections - use.idle)
        metrics.pool_waiting.labels(self._process).set(use.waiting)
        failed, waited = use.failed - before.failed, use.waited - before.waited
        # One that waited in vain is counted as failed, not as waited for.
        for result, number in (
            ("at_once", use.requests - before.requests - waited),
            ("waited", max(waited - failed, 0)),
            ("failed", failed),
        ):
            if number > 0:
                metrics.pool_requests.labels(self._process, result).inc(number)
        metrics.pool_wait_seconds.labels(self._process).inc((use.waited_ms - before.waited_ms) / 1000)
        metrics.connections_lost.labels(self._process).inc(use.lost - before.lost)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_SECONDS):
            self.look()
