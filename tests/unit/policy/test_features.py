import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.policy.features import conform
from cxi_bandit.policy.manifest import CategoryFeature, FlagFeature, NumberFeature, Schema
from cxi_bandit.policy.parsing import mismatch

SCHEMA = Schema(
    features={
        "device": CategoryFeature(values=("desktop", "mobile")),
        "age": NumberFeature(min=-1.0, max=100.0),
        "member": FlagFeature(),
    }
)
REFUSING = Schema(unknown_features="refuse", features=SCHEMA.features)
NEEDING = Schema(features={"age": NumberFeature(min=0.0, max=1.0, required=True)})


def test_features_come_back_in_manifest_order_whatever_order_they_came_in() -> None:
    known, dropped = conform(SCHEMA, {"member": True, "age": 3, "device": "mobile"}, "/context")
    assert list(known) == ["device", "age", "member"]
    assert dropped == 0


def test_numbers_come_back_as_floats() -> None:
    known, _ = conform(SCHEMA, {"age": 3}, "/context")
    assert type(known["age"]) is float


def test_minus_zero_becomes_zero_so_that_storage_cannot_change_it() -> None:
    known, _ = conform(SCHEMA, {"age": -0.0}, "/context")
    assert math.copysign(1.0, known["age"]) == 1.0


def test_unknown_features_are_dropped_and_counted() -> None:
    known, dropped = conform(SCHEMA, {"device": "mobile", "moon": "full", "tide": 1.0}, "/context")
    assert known == {"device": "mobile"}
    assert dropped == 2


def test_unknown_features_are_refused_where_the_schema_says_so() -> None:
    with pytest.raises(InvalidInput) as caught:
        conform(REFUSING, {"device": "mobile", "moon": "full"}, "/context")
    assert caught.value.pointer == "/context/moon"


def test_a_missing_required_feature_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        conform(NEEDING, {}, "/context")
    assert caught.value.pointer == "/context/age"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", "phone"),
        ("device", 1.0),
        ("age", 101.0),
        ("age", math.nan),
        ("age", math.inf),
        ("age", True),
        ("age", "3"),
        ("member", 1.0),
        ("member", "true"),
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        conform(SCHEMA, {name: value}, "/context")
    assert caught.value.pointer == f"/context/{name}"


@given(st.dictionaries(st.text(max_size=8), st.booleans() | st.floats() | st.text(max_size=8), max_size=6))
def test_whatever_comes_either_conforms_or_is_refused(given_features: dict[str, bool | float | str]) -> None:
    try:
        known, dropped = conform(SCHEMA, given_features, "/context")
    except InvalidInput:
        return
    assert set(known) <= set(SCHEMA.features)
    assert len(known) + dropped == len(given_features)
    assert conform(SCHEMA, known, "/context") == (known, 0)


def test_a_known_feature_without_a_value_is_no_unknown_one():
    schema = Schema(unknown_features="refuse", features={"device": CategoryFeature()})
    assert conform(schema, {"device": None}, "/context") == ({}, 0)


@given(
    st.sampled_from([*SCHEMA.features, *NEEDING.features]),
    st.booleans() | st.integers(-2, 102) | st.floats(-2.0, 102.0) | st.floats() | st.sampled_from(["mobile", "phone"]),
)
def test_a_value_passes_exactly_when_nothing_is_wrong_with_it(name: str, value: float | str) -> None:
    for schema in (SCHEMA, NEEDING):
        if name in schema.features:
            wrong = mismatch(schema.features[name], value)
            if wrong is None:
                conform(schema, {name: value}, "")
            else:
                with pytest.raises(InvalidInput, match=re.escape(wrong)):
                    conform(schema, {name: value}, "")
