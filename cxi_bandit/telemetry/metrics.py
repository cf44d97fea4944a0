"""Prometheus metrics, one set per process, summed over the processes by whichever of them is asked."""

import math
import os
from bisect import bisect_left
from collections import Counter as Tallied
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is imported: the supervisor sets it for its children, never for itself."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_ENTRIES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Totals(Histogram):
    """A histogram that takes many observations for the price of one: each costs two writes into shared memory."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """The same as `observe` of each, and one rounding fewer in their sum."""
        self._sum.inc(math.fsum(amounts))
        for index, number in Tallied(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[index].inc(number)


class Metrics:
    """Names end in their unit; counters in `_total`. Made once per process, by whoever wires it."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
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
            "Entries refused: `full`, `late` (still queued at the deadline) or `abandoned` (in flight at it).",
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
        self.unlogged = Counter(
            "cxi_bandit_unlogged_total",
            "Decisions answered with the default because they could be logged nowhere.",
            ["policy"],
            registry=registry,
        )
        self.budget_spent = Counter(
            "cxi_bandit_budget_spent_total",
            "Money that answered decisions took of a line of the budgets, in the manifest's unit.",
            ["policy", "line"],
            registry=registry,
        )
        self.budget_leased = Gauge(
            "cxi_bandit_budget_leased",
            "What the workers may still spend of a line without asking: uses, of `(exploring)` money.",
            ["policy", "line"],
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
            "cxi_bandit_decision_log_away",
            "Workers that cannot reach the decision log and answer from the spool.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.joined = Counter(
            "cxi_bandit_joined_total",
            "Rewards sequenced, windows closed, outcomes revised.",
            ["kind"],
            registry=registry,
        )
        self.outcome_position = Gauge(
            "cxi_bandit_outcome_position",
            "Last position of the outcome log.",
            ["policy"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.learned_position = Gauge(
            "cxi_bandit_learned_position",
            "Last position learned; behind cxi_bandit_outcome_position by the learner's lag.",
            ["policy"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.published = Counter(
            "cxi_bandit_models_published_total", "Models published.", ["policy"], registry=registry
        )
        self.too_far = Counter(
            "cxi_bandit_models_too_far_total",
            "Models not published because they would move probabilities beyond rollout.maximum_shift.",
            ["policy"],
            registry=registry,
        )
        self.watch_evidence = Gauge(
            "cxi_bandit_watch_evidence",
            "ln E of a roll-out's watch; -Inf before its first shopper.",
            ["policy", "watch"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.canary_shoppers = Gauge(
            "cxi_bandit_canary_shoppers",
            "Shoppers of the running canary whose window is closed; 0 without one.",
            ["policy"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.rollbacks = Counter(
            "cxi_bandit_rollbacks_total",
            "What a watch took back, or halted, by why.",
            ["policy", "reason"],
            registry=registry,
        )
        self.rebuilt = Counter(
            "cxi_bandit_models_rebuilt_total", "Models made by rebuilds.", ["policy"], registry=registry
        )
        self.rebuilds_waiting = Gauge(
            "cxi_bandit_rebuilds_waiting",
            "Requests for a rebuild that are not answered yet.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.thinned = Counter(
            "cxi_bandit_models_thinned_total",
            "Models whose bytes were dropped; they can be derived again.",
            ["policy"],
            registry=registry,
        )
        self.learner_errors = Counter(
            "cxi_bandit_learner_errors_total", "Passes of the learner that failed.", ["error"], registry=registry
        )
        self.drift = {
            name: Gauge(f"cxi_bandit_{name}", words, labels, registry=registry, multiprocess_mode="mostrecent")
            for name, words, labels in (
                ("feature_drift_psi", "Population stability index, latest day to week before.", ["policy", "feature"]),
                ("reward_mean", "Mean reward of the latest day, as known when windows closed.", ["policy"]),
                ("reward_completeness", "Share of the latest day's outcomes that an event reached.", ["policy"]),
                ("reward_drift_score", "Change of the mean reward in its standard errors.", ["policy"]),
            )
        }
        self.dropped = Counter(
            "cxi_bandit_dropped_total",
            "What retention dropped: `day`, `reward` (of a dropped decision), `parked` (its decision never came).",
            ["kind"],
            registry=registry,
        )

    def exposition(self) -> bytes:
        """Prometheus text: of all processes when they share a directory, of this one otherwise."""
        return generate_latest(self.summed())

    def summed(self) -> CollectorRegistry:
        """The same, to be read by a program."""
        shared = os.environ.get(MULTIPROCESS_VARIABLE)
        if not shared:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=shared)  # type: ignore[no-untyped-call] # the package leaves it untyped
        return registry


def forget_dead_processes() -> None:
    """Removes the live gauges of processes that are gone: a killed worker cannot take its own back."""
    shared = os.environ.get(MULTIPROCESS_VARIABLE)
    for path in Path(shared).glob("gauge_live*_*.db") if shared else ():
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def forget_this_process() -> None:
    """Takes this process's live gauges back: it ends, and others of its kind go on."""
    if os.environ.get(MULTIPROCESS_VARIABLE):
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call] # the package leaves it untyped
