"""What the metrics say at a glance."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.readings import Pulses, Reading, pulse, quantile, read

ENDLESS = math.inf


def test_a_reading_sums_what_matters_and_leaves_out_the_rest() -> None:
    metrics = Metrics()
    metrics.decisions.labels("cart", "hold").inc(3)
    metrics.decisions.labels("search", "guide").inc(4)
    metrics.spool_entries.set(5)
    metrics.log_away.set(2)
    metrics.queue_entries.labels("decision log").set(2)
    metrics.queue_entries.labels("spool").set(1)
    for route, status in (("/v1/decisions", 201), ("/v1/decisions", 503), ("/console/live", 200)):
        metrics.request_seconds.labels("POST", route, status).observe(0.003)
    reading = read(metrics, 7.0)
    assert (reading.at, reading.decisions, reading.spooled, reading.queued) == (7.0, 7.0, 5.0, 3.0)
    assert reading.away == 2.0
    assert dict(reading.answered)[ENDLESS] == 1.0
    assert next(bound for bound, number in reading.answered if number) == 0.005


def test_between_two_readings_only_what_happened_meanwhile_counts() -> None:
    earlier = Reading(at=10.0, decisions=100.0, answered=((0.01, 90.0), (0.1, 100.0), (ENDLESS, 100.0)))
    later = Reading(at=20.0, decisions=150.0, answered=((0.01, 90.0), (0.1, 140.0), (ENDLESS, 150.0)), away=1.0)
    between = pulse(earlier, later)
    assert (between.seconds, between.decisions_per_second, between.away) == (10.0, 5.0, 1)
    assert between.p50_seconds == pytest.approx(0.01 + 0.09 * 25 / 40)
    assert between.p99_seconds == 0.1
    ever = pulse(None, later)
    assert (ever.seconds, ever.decisions_per_second) == (None, None)
    assert ever.p50_seconds == pytest.approx(0.01 * 75 / 90)


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile([(0.1, 0.0), (ENDLESS, 0.0)], 0.5) is None
    assert quantile([(0.1, 0.0), (ENDLESS, 3.0)], 0.5) == 0.1, "beyond the last bound"


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_that_holds_it(numbers: list[int], share: float) -> None:
    bounds = [float(bound) for bound in range(1, len(numbers))]
    heights = [float(sum(numbers[: index + 1])) for index in range(len(numbers))]
    buckets = list(zip([*bounds, ENDLESS], heights, strict=True))
    found = quantile(buckets, share)
    if not heights[-1]:
        assert found is None
        return
    wanted = share * heights[-1]
    index = next(place for place, height in enumerate(heights) if height >= wanted)
    low, high = float(index), min(float(index + 1), bounds[-1])
    assert found is not None
    assert min(low, high) - 1e-9 <= found <= high + 1e-9


def test_each_look_is_held_against_one_of_about_a_minute_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("cxi_bandit.telemetry.readings.time.monotonic", lambda: clock[0])
    metrics = Metrics()
    pulses = Pulses(metrics)
    decided = metrics.decisions.labels("cart", "hold")
    assert pulses.take().seconds is None
    spans = []
    for _ in range(20):
        clock[0] += 5.0
        decided.inc(10)
        look = pulses.take()
        assert look.decisions_per_second == 2.0
        spans.append(look.seconds)
    assert spans[:3] == [5.0, 10.0, 15.0]
    assert spans[-1] == 60.0
    clock[0] += 0.5
    assert pulses.take().seconds == 60.5
    clock[0] += 1000.0
    assert pulses.take().seconds is None, "nobody had looked for a while"
