"""Names as Prometheus's own linter (`promtool check metrics`) asks for them, and labels that stay few."""

import re
from pathlib import Path

import pytest

from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.reference import Family, families, table

ROOT = Path(__file__).parents[3]
FAMILIES = families(Metrics())
RESERVED_SUFFIXES = ("_bucket", "_count", "_sum", "_created", "_total", "_info")
ABBREVIATED = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d", "pct", "percent"}
NOT_BASE = {
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "weeks",
    "kilobytes",
    "megabytes",
}
TYPES = {"counter", "gauge", "histogram", "summary", "metric", "untyped"}
TIMES = re.compile(r"\b(time|when|age|how long)\b", re.IGNORECASE)
FROM_MANIFESTS = {"policy", "intervention", "line", "feature", "watch"}
OURS = {"reason", "status", "queue", "kind", "result", "error", "process", "state", "route", "method"}
BUILD = {"version", "python_version", "vowpalwabbit_version"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_says_what_is_measured_in_base_units(family: Family) -> None:
    name, kind = family.name, family.kind
    assert re.fullmatch(r"cxi_bandit(_[a-z][a-z0-9]*)+", name)
    words = set(name.split("_"))
    assert not words & (ABBREVIATED | NOT_BASE | TYPES)
    assert (kind == "counter") == name.endswith("_total")
    stem = name.removesuffix("_total") if kind == "counter" else name.removesuffix("_info")
    assert not stem.endswith(RESERVED_SUFFIXES)
    assert kind in ("counter", "gauge", "histogram")
    if TIMES.match(family.documentation):
        assert stem.endswith("_seconds")


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_help_says_something_in_one_line(family: Family) -> None:
    assert family.documentation.endswith(".")
    assert "\n" not in family.documentation
    assert "|" not in family.documentation


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_label_takes_its_values_from_a_request(family: Family) -> None:
    assert set(family.labels) <= FROM_MANIFESTS | OURS | BUILD
    assert (set(family.labels) == BUILD) == family.name.endswith("_info")
    assert not set(family.labels) & {"le", "quantile", "job", "instance"}


def test_no_name_is_taken_twice() -> None:
    stems = [family.name.removesuffix("_total") for family in FAMILIES]
    assert len(set(stems)) == len(stems)


def test_the_reference_is_what_the_metrics_say_of_themselves() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    told = page.partition("<!-- table -->\n")[2].partition("<!-- end of table -->")[0]
    assert told == table(Metrics()), "python -m cxi_bandit.telemetry.reference prints the table"


def test_every_metric_that_a_page_names_exists() -> None:
    known = {family.name for family in FAMILIES}
    not_metrics = {"cxi_bandit_models"}  # a channel of the database
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        for name in re.findall(r"\bcxi_bandit_[a-z0-9_]+", page.read_text("utf-8")):
            assert name in known | not_metrics or re.sub(r"_(bucket|count|sum)$", "", name) in known, (page, name)
