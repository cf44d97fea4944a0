"""What a shopper has had is held against caps and cooldown, whichever request is judged first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.caps import Caps, Use, caps_of
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
SHELF = (Path(__file__).parent / "shelf.toml").read_text("utf-8")
WAVE, SMILE = InterventionId("wave"), InterventionId("smile")


def caps(text: str, limits: str) -> Caps:
    found = caps_of(
        parse_manifest(text.replace("[exploration]", f"[limits]\n{limits}\n[exploration]", 1), "shelf.toml")
    )
    assert found is not None
    return found


def at(seconds: float, *names: InterventionId) -> Use:
    return Use(NOON + timedelta(seconds=seconds), names)


def test_a_manifest_without_caps_has_none(manifest: Manifest) -> None:
    assert caps_of(manifest) is None


def test_a_cap_counts_its_interventions_together_within_its_time(text: str) -> None:
    rules = caps(text, "caps = [{ most = 2, seconds = 60 }]")
    assert rules.about == {WAVE, SMILE}
    assert rules.withheld([at(-10, WAVE)], NOON) == {}
    both = dict.fromkeys((SMILE, WAVE), "the shopper has had 2 in 60 s")
    assert rules.withheld([at(-10, WAVE), at(-59.9, SMILE)], NOON) == both
    assert rules.withheld([at(-10, WAVE), at(-60, SMILE)], NOON) == {}


def test_a_cap_about_some_leaves_the_others(text: str) -> None:
    rules = caps(text, 'caps = [{ interventions = ["wave"], most = 1, seconds = 60 }]')
    assert rules.withheld([at(-1, SMILE)], NOON) == {}
    assert set(rules.withheld([at(-1, WAVE)], NOON)) == {WAVE}


def test_after_any_intervention_there_is_only_hold_for_a_while(text: str) -> None:
    rules = caps(text, "cooldown_seconds = 30")
    words = "the shopper is left alone for 30 s after an intervention"
    assert rules.withheld([at(-29, SMILE)], NOON) == {WAVE: words, SMILE: words}
    assert rules.withheld([at(-30, SMILE)], NOON) == {}


def test_a_permit_that_is_out_counts_as_a_use_of_all_it_is_for(text: str) -> None:
    one_each = ", ".join(f'{{ interventions = ["{name}"], most = 1, seconds = 60 }}' for name in (WAVE, SMILE))
    rules = caps(text, f"caps = [{one_each}]")
    assert set(rules.withheld([at(-1, WAVE, SMILE)], NOON)) == {WAVE, SMILE}


def test_a_use_that_another_clock_dates_later_counts(text: str) -> None:
    assert caps(text, "cooldown_seconds = 30").withheld([at(+5, WAVE)], NOON)


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from([WAVE, SMILE])), max_size=40), st.randoms())
def test_in_whatever_order_requests_are_judged_no_window_ever_holds_more(
    asked: list[tuple[int, InterventionId]], shuffled: Random
) -> None:
    rules = caps(SHELF, "caps = [{ most = 3, seconds = 100 }]\ncooldown_seconds = 7")
    shuffled.shuffle(asked)
    had: list[Use] = []
    for seconds, name in asked:
        if name not in rules.withheld(had, NOON + timedelta(seconds=seconds)):
            had.append(at(seconds, name))
    for use in had:
        since = [other for other in had if timedelta(0) <= use.at - other.at < timedelta(seconds=100)]
        assert len(since) <= 3
        assert sum(abs(use.at - other.at) < timedelta(seconds=7) for other in had) == 1
