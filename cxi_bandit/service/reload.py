"""Takes newly published models into service: off the event loop, told by the database, or by looking now and then."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.engine.serve import Refresh, Serving
from cxi_bandit.telemetry.metrics import Metrics

_STAGGER_SECONDS: Final = 0.03

Hints = Callable[[Callable[[], bool]], Iterator[object]]
"""Yields whenever models may have been published, and every so often anyway, until the function given says stop."""


class Reloader:
    """One thread that calls `Serving.refresh`. A database that is away leaves what is served as it is."""

    def __init__(
        self,
        serving: Serving,
        log: FilteringBoundLogger,
        metrics: Metrics,
        *,
        seconds: float,
        hints: Hints | None = None,
    ) -> None:
        self._serving = serving
        self._log = log
        self._metrics = metrics
        self._seconds = seconds
        self._stopping = threading.Event()
        self._hints = hints or self._regularly
        self._away = False
        self._stagger = random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)

    def start(self) -> None:
        """Looks once, so that the first request finds its policies, then goes on in the background."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """Ends after the look under way. The thread is a daemon: a wait on the database holds nobody up."""
        self._stopping.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        for _ in self._hints(self._stopping.is_set):
            # Loading holds the GIL: workers told at the same moment had better not all stop at the same moment.
            if self._stopping.wait(self._stagger.random() * _STAGGER_SECONDS):
                return
            self._look()

    def _regularly(self, stopped: Callable[[], bool]) -> Iterator[None]:
        while not stopped():
            self._stopping.wait(self._seconds)
            yield

    def _look(self) -> None:
        try:
            refresh = self._serving.refresh()
        except CxiBanditError as error:
            if not self._away:
                self._log.warning("models_not_refreshed", reason=str(error))
            self._away = True
            self._stopping.wait(self._seconds)
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, the models served stay served
            self._log.exception("models_not_refreshed", reason=str(error))
            self._stopping.wait(self._seconds)
            return
        self._away = False
        self._tell(refresh)

    def _tell(self, refresh: Refresh) -> None:
        for served in self._serving.rollouts:
            self._metrics.serves(served.policy)
        for rollout in refresh.rolled_out:
            self._metrics.rollout_revision.labels(rollout.policy).set(rollout.revision)
            self._log.info("rolled_out", policy=rollout.policy, revision=rollout.revision, reason=rollout.reason)
        for model in refresh.swapped:
            lineage = model.lineage
            self._metrics.model_version.labels(lineage.policy).set(lineage.version)
            self._log.debug("model_swapped", policy=lineage.policy, model_version=lineage.version)
        for refusal in refresh.refused:
            lineage = refusal.model.lineage
            self._metrics.models_refused.labels(lineage.policy).inc()
            self._log.error(
                "model_refused", policy=lineage.policy, model_version=lineage.version, reason=refusal.reason
            )
