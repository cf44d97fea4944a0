"""Prometheus metrics, one set per process, summed over the processes by whichever of them is asked."""

import platform
import time
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from cxi_bandit.telemetry.exposition import summed
from cxi_bandit.telemetry.learning_metrics import LearningMetrics
from cxi_bandit.telemetry.totals import Totals

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_ENTRIES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics(LearningMetrics):
    """Names end in their unit; counters in `_total`. Made once per process, by whoever wires it.

    Labels come from manifests, routes and our own words, never from what a caller sent: what has labels stays small.
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()
        super().__init__(registry)
        self._registry = registry
        self.build = Gauge(
            "cxi_bandit_build_info",
            "1 for each build that runs; of several, while one takes over from another, each.",
            ["version", "python_version", "vowpalwabbit_version"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.process_start = Gauge(
            "cxi_bandit_process_start_time_seconds",
            "When the youngest process of its kind began its work, in seconds since 1970.",
            ["process"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.request_seconds = Totals(
            "cxi_bandit_request_seconds",
            "Time from request to answer.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.decisions = Counter(
            "cxi_bandit_decisions_total", "Decisions answered.", ["policy", "intervention"], registry=registry
        )
        self.fallbacks = Counter(
            "cxi_bandit_fallbacks_total", "Decisions the model did not make.", ["policy", "reason"], registry=registry
        )
        self.overridden = Counter(
            "cxi_bandit_overridden_total",
            "Decisions that a person's pin or halt chose; beside cxi_bandit_decisions_total, the override rate.",
            ["policy"],
            registry=registry,
        )
        self.dropped_features = Counter(
            "cxi_bandit_dropped_features_total",
            "Features sent that the manifest does not know.",
            ["policy"],
            registry=registry,
        )
        self.rewards = Counter(
            "cxi_bandit_rewards_total", "Reward events by what became of them.", ["status"], registry=registry
        )
        self.model_version = Gauge(
            "cxi_bandit_model_version",
            "Model served; of several workers the one furthest behind.",
            ["policy"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.rollout_revision = Gauge(
            "cxi_bandit_rollout_revision",
            "Roll-out served; of several workers the one furthest behind.",
            ["policy"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.models_refused = Counter(
            "cxi_bandit_models_refused_total", "Published models not taken into service.", ["policy"], registry=registry
        )
        self.queue_entries = Gauge(
            "cxi_bandit_queue_entries",
            "Entries waiting for the commit under way.",
            ["queue"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "cxi_bandit_queue_refused_total",
            "Entries refused: `full`, `late` (still queued at the deadline), `abandoned` (in flight at it), "
            "`stalled` (the commit under way takes too long).",
            ["queue", "reason"],
            registry=registry,
        )
        self.batch_entries = Histogram(
            "cxi_bandit_batch_entries", "Entries of one commit.", ["queue"], buckets=_ENTRIES, registry=registry
        )
        self.batch_seconds = Histogram(
            "cxi_bandit_batch_seconds", "Time of one commit.", ["queue"], buckets=_SECONDS, registry=registry
        )
        self.spool_entries = Gauge(
            "cxi_bandit_spool_entries",
            "Decisions on the local disk, not in the database yet.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.spool_moves = Counter(
            "cxi_bandit_spool_moves_total",
            "Decisions into the spool (`spooled`), from it into the log (`drained`), there as an alias (`alias`), "
            "gone with an erased shopper (`forgotten`), or neither read back nor taken by the log (`damaged`).",
            ["kind"],
            registry=registry,
        )
        self.spool_moves.labels("damaged")
        self.unlogged = Counter(
            "cxi_bandit_unlogged_total",
            "Decisions answered with the default because they could be logged nowhere.",
            ["policy"],
            registry=registry,
        )
        self.budget_spent = Counter(
            "cxi_bandit_budget_spent_money_total",
            "Money that answered decisions took of a line of the budgets, in the manifest's unit.",
            ["policy", "line"],
            registry=registry,
        )
        self.uses_leased = Gauge(
            "cxi_bandit_budget_leased_uses",
            "Uses that the workers may still spend of a line of the budgets without asking.",
            ["policy", "line"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.exploring_leased = Gauge(
            "cxi_bandit_exploring_leased_money",
            "Money that the workers may still spend on exploring without asking, in the manifest's unit.",
            ["policy"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.permits = Counter(
            "cxi_bandit_permits_total",
            "Permits of shoppers' caps: `taken`, in part or wholly `refused`, `away` when none could be had.",
            ["policy", "result"],
            registry=registry,
        )
        self.log_away = Gauge(
            "cxi_bandit_decision_log_away_workers",
            "Workers that cannot reach the decision log and answer from the spool.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.pool_connections = Gauge(
            "cxi_bandit_database_pool_connections",
            "Connections to the database, `idle` or `used`.",
            ["process", "state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.pool_waiting = Gauge(
            "cxi_bandit_database_pool_waiting_requests",
            "Requests that wait for a connection now.",
            ["process"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.pool_requests = Counter(
            "cxi_bandit_database_pool_requests_total",
            "Requests for a connection by what became of them: had `at_once`, `waited` for, or `failed`.",
            ["process", "result"],
            registry=registry,
        )
        self.pool_wait_seconds = Counter(
            "cxi_bandit_database_pool_wait_seconds_total",
            "Time that requests waited for a connection.",
            ["process"],
            registry=registry,
        )
        self.core_moves = Counter(
            "cxi_bandit_worker_core_moves_total",
            "Times that a worker left its processor for another one, because others kept it waiting there.",
            registry=registry,
        )
        self.connections_lost = Counter(
            "cxi_bandit_database_connections_lost_total",
            "Connections that were found broken and replaced.",
            ["process"],
            registry=registry,
        )

    def started(self, process: str) -> None:
        """This process is about to do its work: which build it is, and since when.

        Args:
            process: `worker`, `learner`.
        """
        self.build.labels(version("cxi-bandit"), platform.python_version(), version("vowpalwabbit")).set(1)
        self.process_start.labels(process).set(time.time())

    def serves(self, policy: str) -> None:
        """A policy is served: what should never happen to it is told as 0 from now on.

        A counter that appears has not increased, as Prometheus sees it: an alert would not hear of its first one.
        """
        for counter in (self.models_refused, self.unlogged):
            counter.labels(policy)

    def exposition(self) -> bytes:
        """Prometheus text: of all processes when they share a directory, of this one otherwise."""
        return generate_latest(self.summed())

    def summed(self) -> CollectorRegistry:
        """The same, to be read by a program."""
        return summed(self._registry)
