"""The learner's process: join, learn, watch roll-outs, mend and count, for ever."""

import gc
import math
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Final, NamedTuple

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.counting import Counting
from cxi_bandit.bootstrap.drift_watch import DriftWatch
from cxi_bandit.bootstrap.learner_signals import LearnerSignals
from cxi_bandit.bootstrap.learning_lag import LearningLag
from cxi_bandit.bootstrap.mending import Mender
from cxi_bandit.bootstrap.pool_watch import PoolWatch
from cxi_bandit.bootstrap.process import await_database, end_with_parent, give_way
from cxi_bandit.bootstrap.release_watch import ReleaseWatch
from cxi_bandit.bootstrap.upkeep import Upkeep
from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import CxiBanditError, LearningConflict, ShiftExceeded, Unavailable
from cxi_bandit.domain.identifiers import ManifestSha, PolicyName
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.engine.join import JoinReport, join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.unseen import Unseen
from cxi_bandit.settings import Settings, read_settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.tracing import Tracing, open_tracing

_BUSY_SECONDS: Final = 0.05
_IDLE_SECONDS: Final = 0.15
_MOST_PATIENT_SECONDS: Final = 5.0
_LONGEST_REST_SECONDS: Final = 60.0
_UPKEEP_AGAIN_SECONDS: Final = 60.0
_UNAVAILABLE: Final = 69
_STAYS: Final = "learning stays"


class _Rest(NamedTuple):
    """Until when, by the monotonic clock, a policy that could not learn is left alone."""

    until: float
    seconds: float


_AWAKE: Final = _Rest(0.0, _IDLE_SECONDS)


class Workbench:
    """One pass after the other; what it did decides how long to wait for the next."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        log: FilteringBoundLogger,
        metrics: Metrics,
        tracing: Tracing | None = None,
    ) -> None:
        self._engine = engine
        self._log = log
        self._metrics = metrics
        self._lateness = timedelta(seconds=settings.lateness_seconds)
        store = engine.store
        self._signals = LearnerSignals(engine, log, metrics, tracing)
        self._lag = LearningLag(engine, metrics)
        parts = (store.registry, store.outcomes, engine.manifests, engine.room)
        self._learner = Learner(*parts, self._signals.too_far, self._signals.learned)
        self._watch = ReleaseWatch(engine, log, metrics)
        self._unseen = Unseen(store.outcomes, engine.manifests, store.releases)
        self._told_of: set[tuple[PolicyName, ManifestSha]] = set()
        self._mender = Mender(engine, log, metrics)
        self._counting = Counting(engine, log, metrics)
        self._learned: dict[tuple[PolicyName, int], int] = {}
        self._published: dict[PolicyName, float] = {}
        self._resting: dict[PolicyName, _Rest] = {}
        self._stuck: set[str] = set()

    def turn(self) -> bool:
        """Joins once, lets every live policy learn at most one segment, looks after roll-outs, mends, counts a little.

        A policy that cannot learn, or be watched, rests, ever longer, while the others go on.

        Returns:
            Whether anything was done.

        Raises:
            Unavailable: The database is away; nothing is lost, turn again.
        """
        report = self._join()
        busy = not report.idle
        away: Unavailable | None = None
        versions = self._engine.store.registry.versions()
        self._lag.turn(versions)
        for version in versions:
            if version.stage is Stage.LIVE:
                try:
                    busy |= self._learn_or_rest(version)
                except Unavailable as error:
                    # A statement that one policy's rows make too slow looks the same: the others have their turn first.
                    away = error
        busy |= self._watch.turn()
        if away is not None:
            raise away
        busy |= self._mender.turn()
        return self._counting.turn(others_busy=busy) or busy

    def keep_up(self) -> float:
        """What mending needs now and then; in how many seconds it is due again."""
        return self._mender.keep_up()

    def stand_down(self) -> None:
        """Lets go of what it holds beyond a turn: another learner works from now on."""
        self._mender.stand_down()
        self._lag.stand_down()

    def _join(self) -> JoinReport:
        engine = self._engine
        self._signals.begin()
        report = join(engine.store.outcomes, engine.manifests, engine.clock(), self._lateness, unseen=self._unseen)
        self._tell_of_denials()
        self._signals.joined(report)
        return report

    def _tell_of_denials(self) -> None:
        """Once a process for each manifest whose declaration the log denies."""
        for policy, sha in self._unseen.denied() - self._told_of:
            self._told_of.add((policy, sha))
            self._log.warning(
                "discards_not_unseen",
                policy=policy,
                manifest_sha=sha,
                meaning="discarding depends on the intervention: what is never shown is learned as assigned by now",
            )

    def _stays(self, version: PolicyVersion, error: ShiftExceeded) -> None:
        """The audit trail says once for every model that nothing may follow it."""
        if error.parent in self._stuck:
            return
        self._stuck.add(error.parent)
        registry = self._engine.store.registry
        known = (line.detail.get("parent") for line in registry.trail(version.policy) if line.action == _STAYS)
        if error.parent not in known:
            detail = {"parent": error.parent, "position": str(error.position), "reason": str(error)}
            at = self._engine.clock()
            registry.note(AuditEntry(at=at, actor="learner", action=_STAYS, policy=version.policy, detail=detail))

    def _learn_or_rest(self, version: PolicyVersion) -> bool:
        policy = version.policy
        rest = self._resting.get(policy, _AWAKE)
        if time.monotonic() < rest.until or self._mender.mending(policy):
            return False
        try:
            learned = self._learn(version)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever ails one policy must not keep the others from learning
            seconds = min(2 * rest.seconds, _LONGEST_REST_SECONDS)
            self._resting[policy] = _Rest(time.monotonic() + seconds, seconds)
            self._metrics.learner_errors.labels(type(error).__name__).inc()
            if isinstance(error, ShiftExceeded):
                self._stays(version, error)
            self._log.error(
                "policy_not_learned",
                policy=policy,
                reason=str(error),
                again_in_seconds=seconds,
                exc_info=_unforeseen(error),
            )
            return False
        self._resting.pop(policy, None)
        return learned

    def _learn(self, version: PolicyVersion) -> bool:
        engine, policy = self._engine, version.policy
        patience = engine.manifests.by_sha(version.manifest_sha).learning.publish_seconds
        if time.monotonic() - self._published.get(policy, -math.inf) < patience:
            return False
        head = engine.store.outcomes.head(policy)
        if head <= self._learned.get((policy, version.version), -1):
            return False
        with engine.store.registry.writer(policy) as mine:
            if not mine:
                return False
            self._signals.begin()
            try:
                model = self._learner.step(version, engine.clock())
            except LearningConflict as error:
                self._metrics.learner_errors.labels(type(error).__name__).inc()
                self._log.info("rival_published", policy=policy, reason=str(error))
                return True
        if model is None:
            # Nothing beyond the head, which may have been learned by an earlier life of this process.
            self._learned[policy, version.version] = head
            return False
        self._learned[policy, version.version] = model.lineage.up_to
        self._published[policy] = time.monotonic()
        self._mender.published(policy)
        return True


def work(
    bench: Workbench,
    stopping: threading.Event,
    upkeep: Callable[[], float],
    log: FilteringBoundLogger,
    metrics: Metrics,
    elected: Callable[[], bool] = lambda: True,
) -> None:
    """Turns until told to stop. A failing turn is tried again, ever more patiently; it never ends the process.

    Args:
        upkeep: Called at the start and then whenever it asked to be, in so many seconds.
        elected: Whether this learner is the one that works, where several have one database; asked before each turn.
    """
    backoff_seconds = _BUSY_SECONDS
    due = 0.0
    works = False
    while not stopping.is_set():
        try:
            worked, works = works, elected()
            if works and not worked:
                log.info("learner_elected")
            if not works:
                if worked:
                    log.info("learner_stands_by")
                    bench.stand_down()
                stopping.wait(_IDLE_SECONDS)
                continue
            if time.monotonic() >= due:
                # Upkeep that fails is called again soon, and meanwhile keeps nobody from learning.
                due = time.monotonic() + _UPKEEP_AGAIN_SECONDS
                due = time.monotonic() + upkeep()
            busy = bench.turn()
            metrics.learner_turn.set(time.time())
        except Exception as error:
            # Whatever it was: a learner that ended would be started again, to meet the same.
            metrics.learner_errors.labels(type(error).__name__).inc()
            log.warning("turn_failed", reason=str(error), again_in_seconds=backoff_seconds, exc_info=_unforeseen(error))
            stopping.wait(backoff_seconds)
            backoff_seconds = min(2 * backoff_seconds, _MOST_PATIENT_SECONDS)
            continue
        backoff_seconds = _BUSY_SECONDS
        stopping.wait(_BUSY_SECONDS if busy else _IDLE_SECONDS)


def _unforeseen(error: Exception) -> Exception | None:
    """Whose traceback is worth a log's lines: that of an error we did not raise on purpose."""
    return None if isinstance(error, CxiBanditError) else error


def main() -> int:
    """Runs from the environment that the supervisor prepared, until SIGTERM or the parent's end."""
    settings = read_settings()
    log = open_log("learner", settings.log_level)
    give_way()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    end_with_parent(settings.parent_pid, stopping.set)
    try:
        settings = await_database(settings)
        store = PostgresStore.open(settings.database_url or "")
    except Unavailable as error:
        log.warning("database_away", reason=str(error))
        return _UNAVAILABLE
    with ExitStack() as ending:
        ending.callback(store.close)
        metrics = Metrics()
        metrics.started("learner")
        pool_watch = PoolWatch(store.database, "learner", metrics)
        pool_watch.start()
        ending.callback(pool_watch.stop)
        engine = build_engine(store)
        tracing = open_tracing(settings, "learner", 1.0)
        if tracing is not None:
            ending.callback(tracing.close)
        bench = Workbench(engine, settings, log, metrics, tracing)
        ending.callback(bench.stand_down)
        watch = DriftWatch(engine, settings, log, metrics)
        upkeep = Upkeep(store, engine.clock, settings, log, metrics, lambda: min(bench.keep_up(), watch.turn()))
        # What start-up made lives as long as the process: a long segment's rows set the collector off again and again.
        gc.collect()
        gc.freeze()
        work(bench, stopping, upkeep.turn, log, metrics, store.election.won)
    return 0


if __name__ == "__main__":
    sys.exit(main())
