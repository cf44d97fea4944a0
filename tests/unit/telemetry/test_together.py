"""What is counted and told together is what would have been counted and told one by one."""

import asyncio
import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from cxi_bandit.domain.identifiers import DecisionIdMint, ages_seconds, minted_at
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.request_lines import RequestLines
from cxi_bandit.telemetry.tally import Tally
from cxi_bandit.telemetry.totals import Totals


def samples(metric: Any) -> list[tuple[str, str, float]]:
    return [
        (sample.name, str(sample.labels), round(sample.value, 6))
        for family in metric.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]


@given(st.lists(st.floats(0, 3) | st.sampled_from([0.001, 0.01, 2.5]), min_size=1))
def test_many_observations_are_the_sum_of_each(amounts: list[float]) -> None:
    buckets = (0.001, 0.01, 0.1, 2.5)
    together = Totals("t", "t", buckets=buckets, registry=CollectorRegistry())
    one_by_one = Histogram("t", "t", buckets=buckets, registry=CollectorRegistry())
    together.observe_all(amounts)
    for amount in amounts:
        one_by_one.observe(amount)
    assert samples(together) == samples(one_by_one)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"))))
def test_a_tally_counts_each(labels: list[tuple[str, str]]) -> None:
    counter = Counter("c", "c", ["p", "i"], registry=CollectorRegistry())
    expected = Counter("c", "c", ["p", "i"], registry=CollectorRegistry())

    async def main() -> None:
        tally = Tally(counter)
        for place, pair in enumerate(labels):
            tally.add(*pair)
            if place % 3 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    for pair in labels:
        expected.labels(*pair).inc()
    assert sorted(samples(counter)) == sorted(samples(expected))


@given(st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))))  # noqa: DTZ001 - aware by `timezones`
def test_ages_of_many_are_the_ages_of_each(moments: list[datetime]) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    minted = [DecisionIdMint().mint(moment) for moment in moments]
    expected = [(now - minted_at(decision_id)).total_seconds() for decision_id in minted]
    assert ages_seconds(minted, now) == pytest.approx(expected, abs=1e-3)


FACTS: dict[str, Any] = {
    "method": "POST",
    "route": "/v1/decisions",
    "status": 201,
    "ms": 1.25,
    "key": "shop",
    "decision_id": UUID(int=7),
    "model_version": None,
}


def test_a_line_has_the_shape_that_the_log_gives_it() -> None:
    together, one_by_one = io.StringIO(), io.StringIO()
    RequestLines("worker", "info", together).write([FACTS, {**FACTS, "reason": "Bearer abc"}])
    log = open_log("worker", "info", one_by_one)
    log.info("request", **FACTS)
    log.info("request", **FACTS, reason="Bearer abc")
    own, usual = ([json.loads(line) for line in lines.getvalue().splitlines()] for lines in (together, one_by_one))
    assert len(own) == 2
    for line, expected in zip(own, usual, strict=True):
        assert list(line) == list(expected)
        assert line["at"].endswith("Z")
        assert {**line, "at": ""} == {**expected, "at": ""}
    assert own[1]["reason"] == "Bearer [withheld]"


def test_lines_below_the_level_are_not_wanted() -> None:
    assert RequestLines("worker", "info", io.StringIO()).wanted
    assert not RequestLines("worker", "warning", io.StringIO()).wanted
