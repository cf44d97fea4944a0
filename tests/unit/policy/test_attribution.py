from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.attribution import Candidate
from cxi_bandit.domain.errors import ManifestInvalid
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ManifestSha, PolicyName, RewardId, Source
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.policy.attribution import shared
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.policy.settlement import settle

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TEXT = (Path(__file__).parent / "shelf.toml").read_text("utf-8")


def manifest(rule: str | None = 'credit = "last"', reward: str = "") -> Manifest:
    table = "" if rule is None else f"[reward.attribution]\n{rule}\n"
    text = TEXT.replace("[reward.metrics.sale]", f"{table}[reward.metrics.sale]", 1)
    return parse_manifest(text.replace("[reward]\n", f"[reward]\n{reward}\n", 1), "shelf.toml")


def candidate(number: int, at: float, policy: str = "shelf", *, window: float = 60.0, shown: bool = True) -> Candidate:
    decided_at = START + timedelta(seconds=at)
    return Candidate(
        decision_id=DecisionId(UUID(int=number)),
        policy=PolicyName(policy),
        manifest_sha=ManifestSha("0" * 64),
        decided_at=decided_at,
        closes_at=decided_at + timedelta(seconds=window),
        activated=shown,
    )


def event(at: float, metric: str = "sale", *, subject: bool = True) -> RewardEvent:
    return RewardEvent(
        source=Source("till"),
        reward_id=RewardId("r"),
        subject=b"shopper" if subject else None,
        order=None if subject else b"order",
        metric=metric,
        value=1.0,
        occurred_at=START + timedelta(seconds=at),
    )


def numbers(reported: RewardEvent, rule: Manifest, *candidates: Candidate) -> dict[int, int]:
    return {name.int: parts for name, parts in shared(reported, [(row, rule) for row in candidates]).items()}


THREE = (candidate(1, 0), candidate(2, 10), candidate(3, 20))


@pytest.mark.parametrize(("credit", "parts"), [("last", {3: 1}), ("first", {1: 1}), ("even", {1: 3, 2: 3, 3: 3})])
def test_credit_goes_to_the_last_the_first_or_evenly_to_all(credit: str, parts: dict[int, int]) -> None:
    assert numbers(event(30), manifest(f'credit = "{credit}"'), *THREE) == parts


def test_the_last_decision_has_it_unless_the_manifest_says_otherwise() -> None:
    assert numbers(event(30), manifest(""), *THREE) == {3: 1}


def test_only_decisions_made_before_and_open_at_the_event_qualify() -> None:
    assert numbers(event(15), manifest(), *THREE) == {2: 1}, "the third was made later"
    assert numbers(event(65), manifest('credit = "first"'), *THREE) == {2: 1}, "the first was closed"
    assert numbers(event(60), manifest('credit = "first"'), *THREE) == {1: 1}, "both ends belong to the window"
    assert numbers(event(20), manifest(), *THREE) == {3: 1}
    assert numbers(event(-1), manifest(), *THREE) == {}


def test_the_rule_s_window_is_about_shoppers_not_about_orders() -> None:
    short = manifest('credit = "first"\nwindow_seconds = 12')
    assert numbers(event(30), short, *THREE) == {3: 1}
    assert numbers(event(32.1), short, *THREE) == {}
    assert numbers(event(32.1, subject=False), short, *THREE) == {1: 1}


def test_metrics_that_are_not_listed_are_not_attributed() -> None:
    listed = manifest('metrics = ["sale"]')
    assert numbers(event(30), listed, *THREE) == {3: 1}
    assert numbers(event(30, "spent"), listed, *THREE) == {}
    assert numbers(event(30, "spent"), manifest(), *THREE) == {3: 1}
    assert numbers(event(30), manifest(None), *THREE) == {}


def test_where_only_what_was_shown_counts_the_others_take_nothing_away() -> None:
    seen = (candidate(1, 0), candidate(2, 10, shown=False))
    assert numbers(event(30), manifest(reward='counts_when = "activated"\ndiscards_unseen = true'), *seen) == {1: 1}
    assert numbers(event(30), manifest(), *seen) == {2: 1}


def test_each_policy_shares_the_event_among_its_own_and_the_last_one_s_manifest_says_how() -> None:
    old, new = manifest('credit = "last"'), manifest('credit = "even"')
    pairs = [(candidate(1, 0), old), (candidate(2, 10), new), (candidate(3, 20, "other"), old)]
    assert {name.int: parts for name, parts in shared(event(30), pairs).items()} == {1: 2, 2: 2, 3: 1}


@st.composite
def crowds(draw: st.DrawFn) -> list[tuple[Candidate, Manifest]]:
    rules = [manifest(rule) for rule in ('credit = "last"', 'credit = "first"', 'credit = "even"', None)]
    return [
        (candidate(number, draw(st.integers(0, 40)), draw(st.sampled_from("ab"))), draw(st.sampled_from(rules)))
        for number in range(1, draw(st.integers(1, 12)))
    ]


@given(crowds(), st.randoms())
def test_the_parts_of_a_policy_s_decisions_make_one_whole_in_any_order(
    crowd: list[tuple[Candidate, Manifest]], shuffler: object
) -> None:
    parts = shared(event(40), crowd)
    whole: dict[str, Fraction] = defaultdict(Fraction)
    for row, _ in crowd:
        if row.decision_id in parts:
            whole[row.policy] += Fraction(1, parts[row.decision_id])
    assert all(sum_ == 1 for sum_ in whole.values())
    assert whole.keys() == {row.policy for row, rule in crowd if rule.reward.attribution is not None}
    shuffler.shuffle(crowd)  # type: ignore[attr-defined] - hypothesis types randoms as an object
    assert shared(event(40), crowd) == parts


def entry(name: str, value: float | None, parts: int = 1, metric: str = "spent", **changes: object) -> LedgerEntry:
    fields = {
        "source": Source("till"),
        "reward_id": RewardId(name),
        "subject": b"shopper",
        "metric": metric,
        "value": value,
        "occurred_at": START + timedelta(seconds=10),
    }
    told = RewardEvent(**{**fields, **changes})
    return LedgerEntry(event=told, received_at=START, position=1, parts=parts)


def metrics(*entries: LedgerEntry) -> dict[str, float]:
    window = (START, START + timedelta(seconds=60))
    return settle(manifest(), InterventionId("hold"), window, entries).metrics


def test_values_are_divided_before_they_are_aggregated_and_sums_are_exact() -> None:
    assert metrics(entry("a", 1.0, 3), entry("b", 1.0, 3), entry("c", 1.0, 3)) == {"spent": 1.0}
    assert metrics(*(entry(f"r{index}", 0.1, 10) for index in range(10))) == {"spent": 0.1}
    assert metrics(entry("a", 1.0, 2, "sale"), entry("b", 0.75, 1, "sale")) == {"sale": 0.75}, "max"
    assert metrics(entry("a", 1.0, 4, "mood"), entry("b", 0.5, 1, "mood", occurred_at=START)) == {"mood": 0.25}, "last"


def test_the_range_judges_the_value_that_was_sent_not_the_part() -> None:
    assert metrics(entry("a", 3.0, 2)) == {}, "3 of at most 2"


def test_an_amendment_stands_for_the_part_that_the_original_has() -> None:
    later = START + timedelta(seconds=20)
    fix = entry("b", 0.5, 1, corrects=RewardId("a"), occurred_at=later)
    assert metrics(entry("a", 2.0, 4), fix) == {"spent": 0.125}
    assert metrics(entry("a", 2.0, 4), entry("b", None, 4, retracts=RewardId("a"), occurred_at=later)) == {}


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ("window_seconds = 61", "reward.attribution.window_seconds"),
        ('metrics = ["nope"]', "reward.attribution.metrics"),
        ('metrics = ["sale", "sale"]', "reward.attribution.metrics"),
        ('credit = "linear"', "reward.attribution.credit"),
        ("half_life = 3", "reward.attribution"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_by_its_key(rule: str, key: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        manifest(rule)
    assert key in str(caught.value)
