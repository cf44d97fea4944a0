"""The dashboard and the alerts ask for what the service exposes, and a page explains every alert."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.reference import Family, families
from tests.harness.promql import TARGET, asked

ROOT = Path(__file__).parents[3]
TELEMETRY = ROOT / "cxi_bandit" / "telemetry"
DASHBOARD = json.loads((TELEMETRY / "grafana" / "cxi-bandit.json").read_text("utf-8"))
RULES = yaml.safe_load((TELEMETRY / "prometheus" / "cxi-bandit.rules.yml").read_text("utf-8"))
PAGE = (ROOT / "docs" / "howto" / "watch-with-prometheus-and-grafana.md").read_text("utf-8")
ALERTS = [alert for group in RULES["groups"] for alert in group["rules"]]
KNOWN = {family.name: family for family in families(Metrics())}
SOURCE = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "cxi_bandit").rglob("*.py")))
VARIABLES = {f"${variable['name']}" for variable in DASHBOARD["templating"]["list"]}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def family_of(series: str) -> tuple[Family, frozenset[str]]:
    """The metric of a series, and the labels that its samples have."""
    name = re.sub(r"_(bucket|count|sum)$", "", series)
    if name != series and KNOWN.get(name, KNOWN["cxi_bandit_build_info"]).kind == "histogram":
        return KNOWN[name], frozenset(KNOWN[name].labels) | ({"le"} if series.endswith("_bucket") else set())
    return KNOWN[series], frozenset(KNOWN[series].labels)


@pytest.mark.parametrize(("where", "expression"), [*expressions()])
def test_every_expression_asks_for_metrics_and_labels_that_there_are(where: str, expression: str) -> None:
    found = asked(expression)
    assert found, where
    for one in found:
        _, labels = family_of(one.metric)
        assert one.grouped <= labels | TARGET, one
        assert one.matched.keys() <= labels | TARGET, one


@pytest.mark.parametrize(("where", "expression"), [*expressions()])
def test_every_value_that_a_label_is_held_against_is_one_of_ours(where: str, expression: str) -> None:
    for one in asked(expression):
        for label, pattern in one.matched.items():
            if label == "status" and one.metric.startswith("cxi_bandit_request_seconds"):
                assert re.fullmatch(r"\[?\d+\]?\.\.", pattern), where
                continue
            for value in pattern.split("|"):
                assert value in VARIABLES or f'"{value}"' in SOURCE, (where, label, value)


@pytest.mark.parametrize(("where", "expression"), [*expressions()])
def test_counters_are_asked_for_their_rate_and_nothing_else_is(where: str, expression: str) -> None:
    for one in asked(expression):
        kind = family_of(one.metric)[0].kind
        rated = re.search(rf"\b(rate|increase)\({one.metric}\b", expression) is not None
        assert rated == (kind in ("counter", "histogram")), (where, one.metric)


def test_a_wrong_name_label_or_function_would_be_found() -> None:
    with pytest.raises(ValueError, match="unknown function"):
        asked("median(cxi_bandit_reward_mean)")
    with pytest.raises(KeyError):
        family_of(asked("cxi_bandit_reward_median")[0].metric)
    (one,) = asked('sum by (shop) (rate(cxi_bandit_request_seconds_bucket{rout="x"}[$__rate_interval]))')
    assert one == ("cxi_bandit_request_seconds_bucket", {"rout": "x"}, {"shop"})
    assert family_of(one.metric)[1] == {"method", "route", "status", "le"}


def test_every_alert_says_what_it_is_and_where_its_remedy_is() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}, alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        notes = alert["annotations"]
        assert notes["summary"]
        assert notes["description"].endswith(".")
        assert notes["runbook"] == f"docs/howto/watch-with-prometheus-and-grafana.md#{alert['alert'].lower()}"
        labels = frozenset.intersection(
            *[one.grouped | TARGET | family_of(one.metric)[1] for one in asked(alert["expr"])]
        )
        for label in re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]):
            assert label in labels, (alert["alert"], label)


def test_the_page_explains_every_alert_and_no_other() -> None:
    sections = dict(re.findall(r"(?ms)^### (CxiBandit\w+)\n(.*?)(?=^##|\Z)", PAGE))
    assert list(sections) == [alert["alert"] for alert in ALERTS]
    for alert in ALERTS:
        section = sections[alert["alert"]]
        assert f"`{alert['labels']['severity']}`" in section, alert["alert"]
        assert "**Do**" in section, alert["alert"]


def test_the_dashboard_can_be_read() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
        assert one["x"] + one["w"] <= 24
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            # Where two are divided, the left one's labels are those of the result.
            assert shown <= asked(target["expr"])[0].grouped, panel["title"]


def test_the_dashboards_variables_come_from_labels_that_there_are() -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert label in family_of(metric)[1] | TARGET
    used = set(re.findall(r"\$[a-z_]\w*", json.dumps([panel["targets"] for panel in PANELS]))) - {"$__rate_interval"}
    assert used <= VARIABLES


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {family_of(one.metric)[0].name for _, expression in expressions() for one in asked(expression)}
    positions = {"cxi_bandit_outcome_position", "cxi_bandit_learned_position"}  # their difference is
    assert set(KNOWN) - shown == positions
