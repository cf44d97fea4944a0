"""How far learning is behind, looked at every second whether or not a policy learns: told as metrics."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model, by_version
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.telemetry.metrics import Metrics

_EVERY_SECONDS: Final = 1.0


class LearningLag:
    """What of each live policy's outcome log its newest model has not learned yet.

    Read from the log and the registry, not from what the learner did: a policy that rests, or is mended, lags too.
    """

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._due = 0.0
        self._oldest: dict[PolicyName, tuple[int, datetime]] = {}
        self._told: set[PolicyName] = set()

    def turn(self, versions: Iterable[PolicyVersion]) -> None:
        """Looks when it is due.

        Raises:
            Unavailable: The database is away; call again.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY_SECONDS
        heads = by_version(self._engine.store.registry.heads())
        live = [version for version in versions if version.stage is Stage.LIVE]
        for version in live:
            self._look(version.policy, heads.get((version.policy, version.version)))
        self._forget(self._told - {version.policy for version in live})

    def stand_down(self) -> None:
        """Another learner works from now on."""
        self._forget(set(self._told))

    def _forget(self, policies: set[PolicyName]) -> None:
        """What was told of these last is nobody's lag any more."""
        for policy in policies:
            self._metrics.lag_outcomes.labels(policy).set(0)
            self._metrics.lag_seconds.labels(policy).set(0)
        self._told -= policies

    def _look(self, policy: PolicyName, model: Model | None) -> None:
        metrics = self._metrics
        head = self._engine.store.outcomes.head(policy)
        learned = 0 if model is None else model.lineage.up_to
        self._told.add(policy)
        metrics.outcome_position.labels(policy).set(head)
        metrics.learned_position.labels(policy).set(learned)
        metrics.lag_outcomes.labels(policy).set(max(head - learned, 0))
        metrics.lag_seconds.labels(policy).set(self._age_seconds(policy, learned + 1) if head > learned else 0.0)
        if model is not None:
            metrics.model_published.labels(policy).set(model.created_at.timestamp())

    def _age_seconds(self, policy: PolicyName, position: int) -> float:
        """Since a position was written. It stays the oldest for as long as nothing is learned: read once."""
        known = self._oldest.get(policy)
        if known is None or known[0] != position:
            mark = self._engine.store.outcomes.mark(policy, position)
            if mark is None:
                return 0.0
            known = self._oldest[policy] = (position, mark.closed_at)
        return max((self._engine.clock() - known[1]).total_seconds(), 0.0)
