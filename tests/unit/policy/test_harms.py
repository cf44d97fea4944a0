"""Harms that a manifest guards against: their ranges, and what a decision had of them."""

import pytest

from cxi_bandit.policy.harms import Harm, harms, suffered
from cxi_bandit.policy.parsing import parse_manifest

GUARDS = """
[[rollout.guardrails]]
metric = "spent"
bound = 1
[[rollout.guardrails]]
metric = "cost"
bound = 0.1
max = 2.5
[exploration]"""


def test_ranges_come_from_the_metric_the_catalogue_or_the_guardrail(text: str) -> None:
    manifest = parse_manifest(text.replace("[exploration]", GUARDS, 1), "shelf.toml")
    spent, cost = harms(manifest)
    metric = manifest.reward.metrics["spent"]
    assert spent == Harm("spent", metric.min, metric.max, 1.0)
    assert cost == Harm("cost", 0.0, 2.5, 0.1)
    assert cost.scaled_bound == pytest.approx(0.04)


def test_what_a_decision_had_is_on_the_range_and_what_nobody_reported_is_none(text: str) -> None:
    manifest = parse_manifest(text.replace("[exploration]", GUARDS, 1), "shelf.toml")
    spent, cost = harms(manifest)
    assert suffered(spent, manifest, {}, "hold") == 0.0
    assert suffered(spent, manifest, {"spent": spent.high / 4}, "hold") == pytest.approx(0.25)
    assert suffered(spent, manifest, {"spent": 9 * spent.high}, "hold") == 1.0
    assert suffered(cost, manifest, {"cost": 9.0}, "hold") == 0.0, "nobody reports it: the catalogue says"
    dearest = max(manifest.interventions, key=lambda one: one.cost)
    assert suffered(cost, manifest, {}, dearest.id) == pytest.approx(min(dearest.cost / 2.5, 1.0))
    assert suffered(cost, manifest, {}, "of another catalogue") == 0.0
