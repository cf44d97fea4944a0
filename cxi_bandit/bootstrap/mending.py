"""The learner's work beside learning: rebuilds that were asked for or are due, and model versions to thin."""

import time
from collections import Counter
from collections.abc import Generator
from contextlib import suppress
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import CxiBanditError, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.engine.erase import forget_latecomers
from cxi_bandit.engine.thin import thin
from cxi_bandit.engine.work_off import ask_when_due, work_off
from cxi_bandit.telemetry.metrics import Metrics

_LOOK_SECONDS: Final = 1.0
_SCHEDULE_SECONDS: Final = 60.0
_UPKEEP_SECONDS: Final = 3600.0
_TURN_SECONDS: Final = 0.25
_PUBLISHED: Final = 200
_FIRST_REST_SECONDS: Final = 1.0
_LONGEST_REST_SECONDS: Final = 300.0

_Work = Generator[Model, None, None]


class Mender:
    """Works off requests for rebuilds, a quarter second at a time, so that joining and the others' learning go on.

    A policy under repair is not learned on: its writer lock is held until the rebuild is adopted.
    """

    def __init__(self, engine: Engine, log: FilteringBoundLogger, metrics: Metrics) -> None:
        self._engine = engine
        self._log = log
        self._metrics = metrics
        self._working: dict[PolicyName, _Work] = {}
        self._resting: dict[PolicyName, tuple[float, float]] = {}
        self._published: Counter[PolicyName] = Counter()
        self._look_at = self._schedule_at = self._upkeep_at = 0.0

    def mending(self, policy: PolicyName) -> bool:
        """Whether the policy is under repair now."""
        return policy in self._working

    def turn(self) -> bool:
        """Looks for requests now and then, and goes on with those under way; whether anything was done.

        Raises:
            Unavailable: The database is away; what was under way is begun again.
        """
        self._ask_for_what_is_due()
        self._look()
        for policy, work in list(self._working.items()):
            try:
                done = self._advance(policy, work)
            except Unavailable:
                self._end(policy)
                raise
            except Exception as error:  # noqa: BLE001 - whatever ails one policy must not keep the others from learning
                self._end(policy)
                self._rest(policy, error)
                continue
            if done:
                self._end(policy)
                self._resting.pop(policy, None)
        return bool(self._working)

    def keep_up(self) -> float:
        """Every hour: forgets what arrived too late of erased shoppers, thins every policy's models.

        Returns:
            In how many seconds it is due again.
        """
        left = self._upkeep_at - time.monotonic()
        if left > 0:
            return left
        self._forget_latecomers()
        for policy in sorted({version.policy for version in self._engine.store.registry.versions()}):
            self._thin(policy)
        self._upkeep_at = time.monotonic() + _UPKEEP_SECONDS
        return _UPKEEP_SECONDS

    def stand_down(self) -> None:
        """Breaks off what is under way and lets go of its locks; whoever looks for requests next begins it again."""
        for policy in list(self._working):
            self._end(policy)

    def published(self, policy: PolicyName) -> None:
        """A model was published: after some hundreds it is time to thin, whenever upkeep comes round."""
        self._published[policy] += 1
        if self._published[policy] >= _PUBLISHED:
            self._thin(policy)

    def _forget_latecomers(self) -> None:
        """Erases what arrived of erased shoppers after their erasure though it was decided before."""
        store = self._engine.store
        parts = (store.decisions, store.outcomes, store.privacy)
        for erasure in forget_latecomers(self._engine.clock(), *parts):
            self._log.info("latecomers_erased", policy=erasure.policy, decisions=erasure.removed.get("decisions", 0))

    def _thin(self, policy: PolicyName) -> None:
        engine = self._engine
        self._published[policy] = 0
        thinned = thin(policy, engine.store.registry, engine.store.releases, engine.manifests, engine.clock())
        if thinned:
            self._metrics.thinned.labels(policy).inc(thinned)
            self._log.info("models_thinned", policy=policy, models=thinned)

    def _ask_for_what_is_due(self) -> None:
        if time.monotonic() < self._schedule_at:
            return
        self._schedule_at = time.monotonic() + _SCHEDULE_SECONDS
        engine = self._engine
        for version in engine.store.registry.versions():
            if version.stage is Stage.LIVE:
                ask_when_due(version, engine.store.rebuilds, engine.manifests, engine.clock())

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        waiting = self._engine.store.rebuilds.waiting()
        self._metrics.rebuilds_waiting.set(len(waiting))
        for policy in dict.fromkeys(request.policy for request in waiting):
            until, _ = self._resting.get(policy, (0.0, 0.0))
            if policy not in self._working and now >= until:
                self._working[policy] = self._work(policy)

    def _work(self, policy: PolicyName) -> _Work:
        engine = self._engine
        store = engine.store
        with store.registry.writer(policy) as mine:
            if mine:
                parts = (store.rebuilds, store.registry, store.outcomes, engine.manifests, engine.room)
                yield from work_off(policy, *parts, clock=engine.clock)

    def _advance(self, policy: PolicyName, work: _Work) -> bool:
        """Makes models for a while; whether that was all of them."""
        ends_at = time.monotonic() + _TURN_SECONDS
        for model in work:
            lineage = model.lineage
            self._metrics.rebuilt.labels(policy).inc()
            self.published(policy)
            self._log.info(
                "model_rebuilt",
                policy=policy,
                policy_version=lineage.policy_version,
                model_version=lineage.version,
                up_to=lineage.up_to,
                learned_total=lineage.learned_total,
            )
            if time.monotonic() >= ends_at:
                return False
        return True

    def _end(self, policy: PolicyName) -> None:
        """Lets go of the writer lock."""
        work = self._working.pop(policy)
        with suppress(CxiBanditError):
            work.close()

    def _rest(self, policy: PolicyName, error: Exception) -> None:
        _, before = self._resting.get(policy, (0.0, _FIRST_REST_SECONDS / 2))
        seconds = min(2 * before, _LONGEST_REST_SECONDS)
        self._resting[policy] = (time.monotonic() + seconds, seconds)
        self._metrics.learner_errors.labels(type(error).__name__).inc()
        unforeseen = None if isinstance(error, CxiBanditError) else error
        self._log.error(
            "policy_not_rebuilt", policy=policy, reason=str(error), again_in_seconds=seconds, exc_info=unforeseen
        )
