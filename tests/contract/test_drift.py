"""Drift found in a log of three days, on every store."""

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.drift_watch import DriftWatch
from cxi_bandit.domain.decision import Defect, Situation
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.outcome import Settlement
from cxi_bandit.engine.install import install
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics

MANIFEST = """
format = 1
name = "cart"
surface = "cart"
[defects.slow]
[defects.broken]
[context.features.device]
type = "category"
values = ["mobile", "desktop"]
[context.features.value]
type = "number"
min = 0.0
max = 100.0
[[interventions]]
id = "hold"
[[interventions]]
id = "discount"
[reward]
horizon_seconds = 60
min = 0.0
max = 1.0
metrics.order = { weight = 1.0, min = 0.0, max = 1.0 }
"""
PER_DAY = 600


class Watched:
    """Days of outcomes; what the last day is like is the test's to say."""

    def __init__(self, store: Any, make: Any, noon: datetime) -> None:
        self.now = noon
        self.engine = build_engine(store, lambda: self.now)
        install(store.registry, [("cart.toml", MANIFEST)], noon, "test")
        self.sha = store.registry.versions()[0].manifest_sha
        self.make = make
        self.lines = StringIO()
        self.metrics = Metrics()
        log = open_log("test", "warning", self.lines)
        self.watch = DriftWatch(self.engine, Settings(), log, self.metrics)

    def days(self, days: float, *, mobile: float = 0.5, broken: float = 0.5, paid: float = 0.2) -> None:
        store = self.engine.store
        for _ in range(round(days * 4)):
            rows = []
            for number in range(PER_DAY // 4):
                share = number * 0.618034 % 1
                situation = Situation(
                    defect=Defect("broken" if share * 7 % 1 < broken else "slow", 0.5, 0.5),
                    context={"device": "mobile" if share < mobile else "desktop", "value": 100 * share},
                    eligible=(InterventionId("hold"), InterventionId("apply_coupon")),
                )
                rows.append((self.make.decision(situation=situation, manifest_sha=self.sha), share * 13 % 1 < paid))
            store.decisions.append([DecisionEntry(row) for row, _ in rows])
            with store.outcomes.sequencing() as sequencing:
                assert sequencing is not None
                closures = [
                    self.make.closure(
                        row,
                        settlement=Settlement(reward=float(good), metrics={}, counted=int(good), completed=good),
                    )
                    for row, good in rows
                ]
                sequencing.append(closures, self.now)
            self.now += timedelta(hours=6)

    def told(self) -> list[dict[str, Any]]:
        self.watch._due = 0.0
        assert 0 < self.watch.turn() <= 3600
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


@pytest.fixture
def watched(store: Any, make: Any, noon: datetime) -> Watched:
    return Watched(store, make, noon)


def test_days_like_each_other_raise_nothing(watched: Watched) -> None:
    watched.days(3)
    assert watched.told() == []
    (drift,) = watched.watch.look()
    assert drift.stability.keys() == {
        "context.device", "context.value", "defect.type", "defect.severity", "defect.confidence",
    }  # fmt: skip
    assert max(drift.stability.values()) < 0.05
    assert drift.reward_mean == pytest.approx(0.2, abs=0.02)
    assert 'cxi_bandit_reward_mean{policy="cart"} 0.' in watched.metrics.exposition().decode()


def test_what_changed_on_the_last_day_is_named(watched: Watched) -> None:
    watched.days(2)
    watched.days(1, mobile=0.1, paid=0.05)
    (line,) = watched.told()
    assert (line["event"], line["policy"], line["where"]) == ("drift", "cart", ["context.device", "reward"])
    assert line["reward_mean"] < line["reward_mean_before"]
    assert line["stability"]["context.device"] > 0.2
    assert 'feature="context.device"' in watched.metrics.exposition().decode()


def test_with_few_outcomes_nothing_is_said(watched: Watched) -> None:
    watched.days(0.75)
    watched.days(0.5, mobile=0.0)
    assert watched.told() == []
    assert watched.watch.look() == []
