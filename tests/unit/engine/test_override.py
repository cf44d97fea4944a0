"""Pins and halts: held against the manifest, in force until they expire or are lifted, each with its line."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.decision import HOLD, Decision, DecisionRequest, Defect
from cxi_bandit.domain.errors import InvalidInput, NotFound, WrongStep
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.engine.choose import Keys
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.override import halt, lift, pin
from cxi_bandit.engine.overriding import Overrides

CART = PolicyName("cart")


def a_pin(cart, **changes: Any) -> Override:
    fields: dict[str, Any] = {
        "intervention": InterventionId("discount"),
        "author": "ann",
        "reason": "a broken coupon service",
        "made_at": cart.now,
        "expires_at": cart.now + timedelta(days=1),
        "policy": CART,
    }
    return Override(**{**fields, **changes})


def kept(cart, **changes: Any) -> Override:
    return pin(a_pin(cart, **changes), cart.store.registry, cart.store.releases, cart.manifests)


def test_a_pin_is_kept_with_its_line(cart):
    segment = {"device": "mobile", "cart_value": 40.0}
    made = kept(cart, surface="cart", defect="price_jump", segment=segment)
    assert cart.store.releases.overrides() == [made]
    last = cart.store.registry.trail(CART)[-1]
    assert (last.action, last.actor) == ("override pin", "ann")
    assert last.detail == {
        "override": str(made.override_id),
        "intervention": "discount",
        "reason": "a broken coupon service",
        "surface": "cart",
        "defect": "price_jump",
        "segment.device": "mobile",
        "segment.cart_value": "40.0",
        "expires_at": made.expires_at.isoformat(),
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"policy": None}, "/policy: a pin is about one policy"),
        ({"surface": "search"}, "/surface: policy cart serves 'cart'; leave the surface out"),
        ({"defect": "thunder"}, "/defect: 'thunder' is not a defect of policy cart; known: coupon_failure, price_jump"),
        ({"intervention": "gift"}, "/intervention: 'gift' is not an intervention of policy cart; known: hold, retry"),
        (
            {"intervention": "retry_coupon", "defect": "price_jump"},
            "/intervention: 'retry_coupon' is never possible for defect 'price_jump'; it answers coupon_failure",
        ),
        ({"segment": {"shoe/size": 44.0}}, "/segment/shoe~1size: is not a context feature of policy cart; known: dev"),
        ({"segment": {"device": "toaster"}}, "/segment/device: "),
        ({"segment": {"cart_value": 9000.0}}, "/segment/cart_value: "),
        ({"expires_at": None}, "/expires_at: must lie in the future, at most 90 days ahead"),
    ],
)
def test_a_pin_that_the_manifest_does_not_allow_says_which_field_and_what_helps(cart, changes, complaint):
    with pytest.raises(InvalidInput) as refused:
        kept(cart, **changes)
    assert str(refused.value).startswith(complaint)
    assert cart.store.releases.overrides() == []


@pytest.mark.parametrize("days", [0.0, -1.0, 90.001])
def test_a_pin_expires_and_not_too_late(cart, days):
    with pytest.raises(InvalidInput, match="/expires_at"):
        kept(cart, expires_at=cart.now + timedelta(days=days))
    kept(cart, expires_at=cart.now + timedelta(days=90))


def test_a_pin_of_a_policy_that_is_not_there_is_not_kept(cart):
    with pytest.raises(NotFound, match="nobody"):
        kept(cart, policy=PolicyName("nobody"))


def test_a_halt_is_about_one_policy_or_all_and_stands_until_it_is_lifted(cart):
    releases = cart.store.releases
    one = halt(CART, "ann", "complaints", releases, cart.now)
    everything = halt(None, "bob", "a flood", releases, cart.now)
    assert [(made.halts, made.intervention, made.policy) for made in (one, everything)] == [
        (True, HOLD, CART),
        (True, HOLD, None),
    ]
    with pytest.raises(NotFound, match="nobody"):
        halt(PolicyName("nobody"), "ann", "complaints", releases, cart.now)
    lifted = lift(one.override_id, "eve", releases, cart.now)
    assert lifted == msgspec.structs.replace(one, lifted_at=cart.now, lifted_by="eve")
    assert releases.overrides() == [everything]
    assert [(entry.action, entry.actor, entry.policy) for entry in cart.store.registry.trail()[1:]] == [
        ("halt", "ann", CART),
        ("halt", "bob", None),
        ("halt lift", "eve", CART),
    ]


def test_what_was_lifted_or_never_stood_cannot_be_lifted(cart):
    made = kept(cart)
    lift(made.override_id, "eve", cart.store.releases, cart.now)
    assert cart.store.registry.trail(CART)[-1].action == "override lift"
    with pytest.raises(WrongStep, match=f"override {made.override_id} was lifted before"):
        lift(made.override_id, "eve", cart.store.releases, cart.now)
    with pytest.raises(NotFound, match="override '77'"):
        lift(77, "eve", cart.store.releases, cart.now)


def test_what_has_expired_is_dropped_and_a_halt_never_is(cart):
    soon, later = (a_pin(cart, override_id=n, expires_at=cart.now + timedelta(hours=n)) for n in (1, 2))
    overrides = Overrides([later, soon])
    assert overrides.stand_at(cart.now)
    assert overrides.stand_at(soon.expires_at)
    assert (overrides.named(1), overrides.named(2)) == (None, later)
    assert not overrides.stand_at(later.expires_at)
    assert overrides.named(2) is None
    assert Overrides([a_pin(cart, expires_at=None, intervention=HOLD)]).stand_at(cart.now + timedelta(days=9999))


def test_a_pin_that_nobody_lifts_ends_with_its_time(cart):
    made = kept(cart, expires_at=cart.now + timedelta(hours=1))
    cart.serving.refresh()
    request = cart.request(defect=Defect("price_jump", 0.5, 0.9), subject="anna")
    keys = Keys(cart.store.keyring.draw_key(), cart.store.keyring.subject_key())

    def chosen() -> Decision:
        overrides = cart.serving.overrides
        return cart.serving.rollout_for(request).choose(request, overrides, cart.mint.mint(cart.now), keys).decision

    pinned = chosen()
    assert (pinned.override_id, pinned.subject) == (made.override_id, pseudonym(keys.subject, "anna"))
    cart.now += timedelta(hours=1)
    free = chosen()
    assert (free.override_id, free.subject) == (None, pinned.subject)
    assert not cart.serving.overrides.stand_at(cart.now)


SEGMENTS = st.dictionaries(st.sampled_from(["device", "returning"]), st.sampled_from(["app", 1.0, True]), max_size=2)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, None, CART, PolicyName("other")]),
            st.sampled_from([None, None, "cart", "search"]),
            st.sampled_from([None, None, "price_jump", "coupon_failure"]),
            SEGMENTS,
            st.none() | st.integers(1, 3),
        ),
        max_size=8,
    ),
    SEGMENTS,
    st.lists(st.integers(0, 3), min_size=1, max_size=3).map(sorted),
)
def test_those_that_are_found_are_those_that_are_about_a_request_in_their_order(pins, context, hours):
    """By its scope, its whole segment and its time; asked again at later times, and of several requests."""
    began = datetime(2026, 5, 4, tzinfo=UTC)
    made = [
        Override(
            override_id=number,
            policy=policy,
            surface=surface,
            defect=defect,
            segment=segment,
            intervention=HOLD,
            author="ann",
            reason="sale",
            made_at=began,
            expires_at=None if hour is None else began + timedelta(hours=hour),
        )
        for number, (policy, surface, defect, segment, hour) in enumerate(pins, 1)
    ]
    overrides = Overrides(made)
    for hour in hours:
        at = began + timedelta(hours=hour)
        for defect in ("price_jump", "coupon_failure"):
            request = DecisionRequest(surface="cart", defect=Defect(defect, 0.5, 0.9), context=context)
            expected = [
                one.override_id
                for one in sorted(made, key=lambda one: (one.halts, one.override_id), reverse=True)
                if one.stands_at(at)
                and one.policy in (None, CART)
                and one.surface in (None, "cart")
                and one.defect in (None, defect)
                and all(context.get(name) == value for name, value in one.segment.items())
            ]
            assert [one.override_id for one in overrides.about(request, CART, at)] == expected


def test_a_pin_of_a_segment_comes_before_an_older_one_of_everybody(cart):
    older, newer = (
        a_pin(cart, override_id=number, segment=segment) for number, segment in ((1, {}), (2, {"device": "app"}))
    )
    request = DecisionRequest(surface="cart", defect=Defect("price_jump", 0.5, 0.9), context={"device": "app"})
    assert list(Overrides([older, newer]).about(request, CART, cart.now)) == [newer, older]


@pytest.mark.parametrize("shape", [["mobile"], {"is": "mobile"}, ("mobile", ["app"]), None])
def test_a_feature_of_any_shape_that_the_manifest_knows_no_more_meets_no_pin(shape):
    began = datetime(2026, 5, 4, tzinfo=UTC)
    pinned = Override(
        override_id=1,
        policy=CART,
        segment={"device": "mobile"},
        intervention=HOLD,
        author="ann",
        reason="sale",
        made_at=began,
        expires_at=began + timedelta(hours=1),
    )
    request = DecisionRequest(surface="cart", defect=Defect("price_jump", 0.5, 0.9), context={"device": shape})
    assert not Overrides([pinned]).about(request, CART, began)
