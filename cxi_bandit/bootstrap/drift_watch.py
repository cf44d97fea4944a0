"""Drift, looked for now and then: told as metrics, and as one line in the log where it is large."""

import time
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.domain.decision import Stage
from cxi_bandit.engine.drift import Drift, look_for_drift
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics

# A learner that has just been started has more urgent things to do.
_FIRST_SECONDS: Final = 60.0


class DriftWatch:
    """Looks at every live policy, every `drift_seconds`."""

    def __init__(self, engine: Engine, settings: Settings, log: FilteringBoundLogger, metrics: Metrics) -> None:
        self._engine = engine
        self._every_seconds = settings.drift_seconds
        self._threshold = settings.drift_psi
        self._log = log
        self._metrics = metrics
        self._due = time.monotonic() + _FIRST_SECONDS

    def turn(self) -> float:
        """Looks when it is due; says in how many seconds it is due again.

        Raises:
            Unavailable: The database is away; call again.
        """
        if time.monotonic() >= self._due:
            for drift in self.look():
                self._tell(drift)
            self._due = time.monotonic() + self._every_seconds
        return max(0.0, self._due - time.monotonic())

    def look(self) -> list[Drift]:
        """What is found now, of policies with enough outcomes."""
        engine, store = self._engine, self._engine.store
        found = (
            look_for_drift(version, store.decisions, store.outcomes, engine.manifests, engine.clock())
            for version in store.registry.versions()
            if version.stage is Stage.LIVE
        )
        return [drift for drift in found if drift is not None]

    def _tell(self, drift: Drift) -> None:
        told = self._metrics.drift
        for feature, index in drift.stability.items():
            told["feature_drift_psi"].labels(drift.policy, feature).set(index)
        told["reward_mean"].labels(drift.policy).set(drift.reward_mean)
        told["reward_completeness_ratio"].labels(drift.policy).set(drift.completeness)
        told["reward_drift_score"].labels(drift.policy).set(drift.reward_score)
        if alarms := drift.alarms(self._threshold):
            self._log.warning(
                "drift",
                policy=drift.policy,
                where=alarms,
                stability={name: round(drift.stability[name], 3) for name in alarms if name in drift.stability},
                reward_mean=drift.reward_mean,
                reward_mean_before=drift.reference_reward_mean,
                completeness=drift.completeness,
                completeness_before=drift.reference_completeness,
                reward_score=drift.reward_score,
                n=drift.n,
            )
