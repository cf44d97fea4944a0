import math
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.identifiers import DecisionId, InterventionId, RewardId, Source
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.policy.settlement import quarantine_reason, settle, standing_value

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
WINDOW = (START, START + timedelta(seconds=60))
HOLD, WAVE = InterventionId("hold"), InterventionId("wave")
DECISION = DecisionId(UUID(int=1))
MANIFEST = parse_manifest((Path(__file__).parent / "shelf.toml").read_text("utf-8"), "shelf.toml")


def entry(
    name: str,
    value: float | None = 1.0,
    *,
    metric: str = "sale",
    at: float = 10.0,
    source: str = "shop",
    corrects: str | None = None,
    retracts: str | None = None,
    quarantined: str | None = None,
) -> LedgerEntry:
    event = RewardEvent(
        source=Source(source),
        reward_id=RewardId(name),
        decision_id=DECISION,
        metric=metric,
        value=value,
        occurred_at=START + timedelta(seconds=at),
        corrects=None if corrects is None else RewardId(corrects),
        retracts=None if retracts is None else RewardId(retracts),
    )
    return LedgerEntry(event=event, received_at=START, quarantined=quarantined)


def reward(*entries: LedgerEntry, intervention: InterventionId = HOLD, manifest: Manifest = MANIFEST) -> float:
    return settle(manifest, intervention, WINDOW, entries).reward


def test_nothing_reported_settles_at_the_default() -> None:
    settled = settle(MANIFEST, HOLD, WINDOW, [])
    assert (settled.reward, settled.counted, settled.completed) == (0.0, 0, False)


def test_the_cost_is_taken_off_once() -> None:
    assert reward(intervention=WAVE) == -0.25
    assert reward(entry("a"), entry("b"), intervention=WAVE) == 0.75


def test_metrics_are_aggregated_as_declared_and_weighted() -> None:
    settled = settle(
        MANIFEST,
        HOLD,
        WINDOW,
        [
            entry("s1"),
            entry("s2", 0.5),
            entry("p1", 0.5, metric="spent"),
            entry("p2", 0.25, metric="spent"),
            entry("m1", 1.0, metric="mood", at=5),
            entry("m2", -0.5, metric="mood", at=6),
        ],
    )
    assert settled.metrics == {"sale": 1.0, "spent": 0.75, "mood": -0.5}
    assert settled.reward == 1.0 + 0.375 - 0.125
    assert (settled.counted, settled.completed) == (6, True)


def test_the_reward_is_held_within_the_declared_range() -> None:
    assert reward(*(entry(f"p{index}", 2.0, metric="spent") for index in range(4))) == 2.0


@pytest.mark.parametrize(
    ("at", "counts"), [(0.0, True), (60.0, True), (60.001, False), (-3600.0, True), (-3600.001, False)]
)
def test_only_what_occurred_within_the_window_counts_with_an_hour_before_it_for_the_clocks(
    at: float, counts: bool
) -> None:
    assert (reward(entry("a", at=at)) == 1.0) is counts


def test_a_correction_replaces_and_a_retraction_removes() -> None:
    wrong = entry("a", 1.0)
    assert reward(wrong, entry("b", 0.25, at=20, corrects="a")) == 0.25
    assert reward(wrong, entry("c", None, at=20, retracts="a")) == 0.0


def test_of_several_amendments_the_latest_by_occurrence_stands() -> None:
    wrong = entry("a", 1.0)
    late, early = entry("b", 0.25, at=30, corrects="a"), entry("c", 0.75, at=20, corrects="a")
    assert reward(wrong, late, early) == reward(early, late, wrong) == 0.25


def test_a_correction_of_a_correction_reaches_the_original() -> None:
    chain = [entry("a", 1.0), entry("b", 0.5, at=20, corrects="a"), entry("c", 0.25, at=30, corrects="b")]
    assert reward(*chain) == 0.25


def test_an_amendment_of_another_source_touches_nothing() -> None:
    assert reward(entry("a", 1.0), entry("b", 0.25, at=20, corrects="a", source="till")) == 1.0


def test_an_amendment_may_come_from_after_the_window_but_the_reward_must_not() -> None:
    assert reward(entry("a", 1.0), entry("b", 0.25, at=600, corrects="a")) == 0.25


def test_values_out_of_range_and_undeclared_metrics_do_not_count() -> None:
    assert reward(entry("a", 7.0), entry("b", metric="weather")) == 0.0


def test_the_manifest_judges_and_not_what_was_thought_on_receipt() -> None:
    assert reward(entry("a", 1.0, quarantined="said at receipt")) == reward(entry("a", 1.0)) == 1.0


def test_a_correction_to_a_value_out_of_range_amends_nothing() -> None:
    assert reward(entry("a", 1.0), entry("b", 7.0, at=20, corrects="a")) == 1.0


def test_a_value_out_of_range_may_be_corrected_into_it() -> None:
    assert reward(entry("a", 7.0), entry("b", 0.5, at=20, corrects="a")) == 0.5


def test_a_correction_under_another_metric_amends_nothing() -> None:
    assert reward(entry("a", 1.0), entry("b", 0.5, at=20, corrects="a", metric="spent")) == 1.0


def test_retracting_a_correction_or_a_retraction_takes_back_that_alone() -> None:
    first, fix = entry("a", 1.0), entry("b", 0.5, at=20, corrects="a")
    assert reward(first, fix, entry("c", None, at=30, retracts="b")) == 1.0
    gone = entry("d", None, at=20, retracts="a")
    assert reward(first, gone, entry("e", None, at=30, retracts="d")) == 1.0
    assert reward(first, fix, entry("f", None, at=10, retracts="a")) == 0.5, "the latest amendment stands"


def test_a_chain_of_amendments_may_be_as_long_as_a_sender_likes() -> None:
    chain = [entry(f"c{index}", 0.5, at=20, corrects=f"c{index - 1}") for index in range(1, 5000)]
    assert reward(entry("c0", 1.0), *chain) == 0.5


def test_a_ring_of_amendments_ends() -> None:
    ring = [entry("a", 1.0, corrects="c"), entry("b", 0.5, corrects="a"), entry("c", 0.25, corrects="b")]
    assert reward(*ring) == 0.0, "no original reward among them"
    assert reward(entry("o", 1.0), *ring, entry("d", 0.75, at=30, corrects="o")) == 0.75


@pytest.mark.parametrize(("metric", "value"), [("weather", 1.0), ("sale", 1.5), ("sale", float("nan"))])
def test_quarantine_says_why(metric: str, value: float) -> None:
    reason = quarantine_reason(MANIFEST, metric, value)
    assert reason is not None
    assert metric in reason


def test_what_is_declared_and_in_range_is_not_quarantined() -> None:
    assert quarantine_reason(MANIFEST, "sale", 1.0) is None
    assert quarantine_reason(MANIFEST, "sale", None) is None


CLIPPED = parse_manifest(
    (Path(__file__).parent / "shelf.toml")
    .read_text("utf-8")
    .replace("[reward.metrics.sale]", '[reward.metrics.sale]\noutliers = "clip"')
    .replace("[reward.metrics.spent]", '[reward.metrics.spent]\noutliers = "clip"'),
    "shelf.toml",
)


def test_an_outlier_counts_at_the_bound_where_the_manifest_clips() -> None:
    assert {name: metric.outliers for name, metric in CLIPPED.reward.metrics.items()} == {
        "sale": "clip",
        "spent": "clip",
        "mood": "quarantine",
    }
    assert quarantine_reason(CLIPPED, "sale", 7.0) is None
    assert reward(entry("a", 7.0), manifest=CLIPPED) == reward(entry("a", 1.0)) == 1.0
    assert reward(entry("a", -7.0), manifest=CLIPPED) == 0.0
    assert reward(entry("a", 7.0, metric="mood"), manifest=CLIPPED) == 0.0, "this one is quarantined all the same"
    settled = settle(CLIPPED, HOLD, WINDOW, [entry("a", 7.0, metric="spent"), entry("b", 0.25, metric="spent")])
    assert (settled.metrics, settled.counted) == ({"spent": 2.25}, 2), "each event is clipped, then they are added up"


def test_a_correction_out_of_range_is_clipped_too() -> None:
    fix = entry("b", 7.0, at=20, corrects="a")
    assert reward(entry("a", 0.25), fix, manifest=CLIPPED) == 1.0
    assert reward(entry("a", 0.25), fix) == 0.25


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_never_clipped(value: float) -> None:
    assert quarantine_reason(CLIPPED, "sale", value) is not None
    assert reward(entry("a", value), manifest=CLIPPED) == 0.0


def test_what_stands_for_an_event() -> None:
    odd, fix = entry("a", 7.0), entry("b", 0.5, at=20, corrects="a")
    gone = entry("c", None, at=30, retracts="a")
    assert standing_value(MANIFEST, [odd], odd.event) == 7.0
    assert standing_value(MANIFEST, [fix, odd], odd.event) == 0.5
    assert standing_value(MANIFEST, [gone, fix, odd], odd.event) is None
    assert standing_value(MANIFEST, [gone, fix, odd], fix.event) == 0.5


@st.composite
def ledgers(draw: st.DrawFn) -> list[LedgerEntry]:
    """Originals and amendments of all kinds: chains, rings, strays, two sources, any times."""
    names = [f"r{index}" for index in range(draw(st.integers(1, 9)))]
    found = []
    for name in names:
        target = draw(st.none() | st.sampled_from([*names, "nobody"]).filter(lambda other, name=name: other != name))
        retracts = target is not None and draw(st.booleans())
        found.append(
            entry(
                name,
                None if retracts else draw(st.floats(-1, 2)),
                metric=draw(st.sampled_from(["sale", "spent", "mood"])),
                at=draw(st.sampled_from([-1.0, 0.0, 1.0, 30.0, 60.0, 61.0])),
                source=draw(st.sampled_from(["shop", "till"])),
                corrects=None if retracts else target,
                retracts=target if retracts else None,
            )
        )
    return found


@given(ledgers(), st.data())
def test_every_order_of_arrival_settles_equal_to_the_bit(entries: list[LedgerEntry], data: st.DataObject) -> None:
    arrived = data.draw(st.permutations(entries))
    assert settle(MANIFEST, WAVE, WINDOW, arrived) == settle(MANIFEST, WAVE, WINDOW, entries)


@given(ledgers(), st.data())
def test_every_order_of_arrival_settles_equal_to_the_bit_when_outliers_are_clipped(
    entries: list[LedgerEntry], data: st.DataObject
) -> None:
    arrived = data.draw(st.permutations(entries))
    settled = settle(CLIPPED, WAVE, WINDOW, arrived)
    assert settled == settle(CLIPPED, WAVE, WINDOW, entries)
    assert CLIPPED.reward.min <= settled.reward <= CLIPPED.reward.max
    for name, value in settled.metrics.items():
        metric = CLIPPED.reward.metrics[name]
        assert metric.aggregate == "sum" or metric.min <= value <= metric.max


@given(ledgers())
def test_clipping_changes_nothing_where_every_value_is_in_range(entries: list[LedgerEntry]) -> None:
    within = [known for known in entries if quarantine_reason(MANIFEST, known.event.metric, known.event.value) is None]
    assert settle(CLIPPED, WAVE, WINDOW, within) == settle(MANIFEST, WAVE, WINDOW, within)


@given(ledgers())
def test_a_settled_reward_always_lies_within_the_range(entries: list[LedgerEntry]) -> None:
    assert MANIFEST.reward.min <= settle(MANIFEST, WAVE, WINDOW, entries).reward <= MANIFEST.reward.max


BOUNDLESS = parse_manifest(
    (Path(__file__).parent / "shelf.toml")
    .read_text("utf-8")
    .replace("weight = 0.5\nmin = 0\nmax = 2", "weight = 1e300\nmin = -1.7e308\nmax = 1.7e308")
    .replace("weight = 0.25\nmin = -1", "weight = -1e300\nmin = -1.7e308")
    .replace("max = 1\naggregate", "max = 1.7e308\naggregate"),
    "shelf.toml",
)


@given(st.lists(st.sampled_from([-1.7e308, -1.0, 0.5, 1.7e308]), max_size=5), st.randoms())
def test_values_as_large_as_floats_settle_in_every_order(values: list[float], shuffler: random.Random) -> None:
    spent = [entry(f"s{index}", value, metric="spent") for index, value in enumerate(values)]
    mood = [entry(f"m{index}", value, metric="mood") for index, value in enumerate(values)]
    settled = settle(BOUNDLESS, WAVE, WINDOW, [*spent, *mood])
    assert -1.0 <= settled.reward <= 2.0
    assert all(math.isfinite(value) for value in settled.metrics.values())
    arrived = [*spent, *mood]
    shuffler.shuffle(arrived)
    assert settle(BOUNDLESS, WAVE, WINDOW, arrived) == settled


def test_an_overflow_on_the_way_to_a_sum_does_not_show_in_it() -> None:
    spent = [entry("a", 1.7e308, metric="spent"), entry("b", 1.7e308, metric="spent")]
    spent += [entry("c", -1.7e308, metric="spent"), entry("d", -1.7e308, metric="spent")]
    assert settle(BOUNDLESS, HOLD, WINDOW, spent).metrics == {"spent": 0.0}
    assert settle(BOUNDLESS, HOLD, WINDOW, spent[:2]).metrics == {"spent": sys.float_info.max}
