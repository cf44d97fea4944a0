import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.decision import Defect, Offer
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.eligibility import Eligibility
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest

EMPTY = Defect("empty", 0.5, 0.9)
DUSTY = Defect("dusty", 0.5, 0.9)


def offers(*names: str) -> tuple[Offer, ...]:
    return tuple(Offer(InterventionId(name)) for name in names)


def resolver(text: str, condition: str) -> Eligibility:
    old = '{ field = "context.age", comparison = "at_least", value = 18 }'
    assert old in text
    return Eligibility(parse_manifest(text.replace(old, condition), "shelf.toml"))


def test_all_that_fit_the_defect_are_eligible_in_manifest_order(manifest: Manifest) -> None:
    assert Eligibility(manifest).resolve(EMPTY, {"age": 30.0}, None).eligible == ("hold", "wave", "smile")


def test_each_excluded_intervention_comes_with_the_rule_that_removed_it(manifest: Manifest) -> None:
    rules = Eligibility(manifest)
    assert rules.resolve(DUSTY, {"age": 30.0}, None).excluded == {"wave": "not for defect dusty"}
    assert rules.resolve(EMPTY, {"age": 3.0}, None).excluded == {"wave": "needs context.age at least 18.0"}
    assert rules.resolve(EMPTY, {"age": 30.0}, offers("wave")).excluded == {
        "smile": "not among the caller's candidates"
    }


def test_a_missing_field_fails_its_condition(manifest: Manifest) -> None:
    assert "wave" in Eligibility(manifest).resolve(EMPTY, {}, None).excluded


def test_the_callers_own_candidates_keep_manifest_order_and_hold(manifest: Manifest) -> None:
    found = Eligibility(manifest).resolve(EMPTY, {"age": 30.0}, offers("smile", "wave"))
    assert found.eligible == ("hold", "wave", "smile")
    assert Eligibility(manifest).resolve(EMPTY, {}, ()).eligible == ("hold",)


@pytest.mark.parametrize(
    ("condition", "context", "eligible"),
    [
        ('{ field = "context.device", comparison = "equals", value = "mobile" }', {"device": "mobile"}, True),
        ('{ field = "context.device", comparison = "equals", value = "mobile" }', {"device": "desktop"}, False),
        ('{ field = "context.device", comparison = "not_equals", value = "mobile" }', {"device": "desktop"}, True),
        ('{ field = "context.device", comparison = "one_of", value = ["mobile"] }', {"device": "mobile"}, True),
        ('{ field = "context.device", comparison = "one_of", value = ["mobile"] }', {"device": "desktop"}, False),
        ('{ field = "context.age", comparison = "at_most", value = 18 }', {"age": 18.0}, True),
        ('{ field = "context.age", comparison = "at_most", value = 18 }', {"age": 18.5}, False),
        ('{ field = "context.age", comparison = "at_least", value = 18 }', {"age": 18.0}, True),
        ('{ field = "context.member", comparison = "equals", value = true }', {"member": True}, True),
        ('{ field = "context.member", comparison = "equals", value = true }', {"member": False}, False),
        ('{ field = "defect.severity", comparison = "at_least", value = 0.5 }', {}, True),
        ('{ field = "defect.confidence", comparison = "at_most", value = 0.5 }', {}, False),
    ],
)
def test_every_comparison_means_what_it_says(
    text: str, condition: str, context: dict[str, bool | float | str], eligible: bool
) -> None:
    assert ("wave" in resolver(text, condition).resolve(EMPTY, context, None).eligible) is eligible


def test_all_conditions_must_hold(text: str) -> None:
    both = (
        '{ field = "context.age", comparison = "at_least", value = 18 }, '
        '{ field = "context.member", comparison = "equals", value = true }'
    )
    rules = resolver(text, both)
    assert "wave" in rules.resolve(EMPTY, {"age": 20.0, "member": True}, None).eligible
    assert "wave" not in rules.resolve(EMPTY, {"age": 20.0, "member": False}, None).eligible


@given(
    defect=st.sampled_from(["empty", "dusty"]),
    age=st.none() | st.floats(0, 100),
    offered=st.none() | st.sets(st.sampled_from(["hold", "wave", "smile"])),
)
def test_eligible_and_excluded_part_the_catalogue_and_hold_is_always_in(
    manifest: Manifest, defect: str, age: float | None, offered: set[str] | None
) -> None:
    context = {} if age is None else {"age": age}
    candidates = None if offered is None else offers(*sorted(offered))
    found = Eligibility(manifest).resolve(Defect(defect, 0.5, 0.9), context, candidates)
    assert found.eligible[0] == "hold"
    assert set(found.eligible) | set(found.excluded) == set(manifest.catalogue)
    assert not set(found.eligible) & set(found.excluded)


SETTLED = '{ field = "context.age", comparison = "at_least", value = 18 }'


@given(st.lists(st.tuples(st.sampled_from(["empty", "dusty"]), st.lists(st.sampled_from(["hold", "wave", "smile"])))))
def test_what_is_remembered_of_candidates_is_what_would_be_worked_out_anew(
    text: str, asked: list[tuple[str, list[str]]]
) -> None:
    manifest = parse_manifest(text.replace(f"when = [{SETTLED}]", ""), "shelf.toml")
    assert not any(entry.when for entry in manifest.interventions)
    remembering = Eligibility(manifest)
    for defect, names in [*asked, *asked]:
        given_offers, found = offers(*names), Defect(defect, 0.5, 0.9)
        assert remembering.resolve(found, {}, given_offers) == Eligibility(manifest).resolve(found, {}, given_offers)
