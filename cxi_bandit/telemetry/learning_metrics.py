"""What the learner's process counts: joining, learning, roll-outs, mending, drift."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from cxi_bandit.telemetry.totals import Totals

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_AGES: Final = (1.0, 10.0, 60.0, 300.0, 1800.0, _HOUR, 3 * _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 30 * _DAY)


class LearningMetrics:
    """The learner's part of the metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.joined = Counter(
            "cxi_bandit_joined_total",
            "Rewards sequenced, windows closed, outcomes revised.",
            ["kind"],
            registry=registry,
        )
        self.join_lag = Gauge(
            "cxi_bandit_join_lag_seconds",
            "How long the oldest of what the last pass took had waited: `rewards` since their receipt, "
            "`windows` since their close; 0 where it took none.",
            ["kind"],
            registry=registry,
            multiprocess_mode="mostrecent",
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
        self.lag_outcomes = Gauge(
            "cxi_bandit_learner_lag_outcomes",
            "Positions of the outcome log not learned yet, revisions and what is never learned among them.",
            ["policy"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.lag_seconds = Gauge(
            "cxi_bandit_learner_lag_seconds",
            "Age of the oldest of these positions; 0 where there is none.",
            ["policy"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.learned_age = Totals(
            "cxi_bandit_learned_decision_age_seconds",
            "Age of a decision when a model that learned it was published.",
            ["policy"],
            buckets=_AGES,
            registry=registry,
        )
        self.model_published = Gauge(
            "cxi_bandit_model_published_timestamp_seconds",
            "When the newest model of the live version was published, in seconds since 1970.",
            ["policy"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.learner_turn = Gauge(
            "cxi_bandit_learner_turn_timestamp_seconds",
            "When the learner last ended a turn well, in seconds since 1970.",
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
                ("reward_completeness_ratio", "Share of the latest day's outcomes that an event reached.", ["policy"]),
                ("reward_drift_score", "Change of the mean reward in its standard errors.", ["policy"]),
            )
        }
        self.dropped = Counter(
            "cxi_bandit_dropped_total",
            "What retention dropped: `day`, `reward` (of a dropped decision), `parked` (its decision never came).",
            ["kind"],
            registry=registry,
        )
