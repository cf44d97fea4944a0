"""Arms: the share that is logged is the share that is declared, whichever arms there are."""

import math
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.rollout import Canary, Previous, Rollout, Split, Stand
from cxi_bandit.policy.arms import Placement, ratio, shares
from cxi_bandit.policy.draw import Slice

AT = datetime(2026, 5, 4, tzinfo=UTC)
SHARE = st.floats(0.01, 0.5)


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    hold, previous, canary = (draw(st.none() | SHARE) for _ in range(3))
    return Rollout(
        policy=PolicyName("cart"),
        revision=1,
        live=Stand(version=1),
        hold=Split(share=hold, salt="hold") if hold else None,
        previous=Previous(stand=Stand(version=2), split=Split(share=previous, salt="previous"), since=AT)
        if previous
        else None,
        canary=Canary(stand=Stand(version=3), split=Split(share=canary, salt="canary"), promotion_id=1, since=AT)
        if canary
        else None,
        canary_defects=draw(st.sampled_from([(), ("slow",), ("slow", "coupon")])),
        made_at=AT,
        made_by="test",
        reason="test",
    )


@given(rollouts(), st.sampled_from(["slow", "coupon", "other"]), st.lists(st.binary(min_size=1), max_size=20))
def test_whoever_is_placed_is_placed_with_the_share_of_the_arm(
    rollout: Rollout, defect: str, units: list[bytes]
) -> None:
    known = shares(rollout, defect)
    assert abs(sum(known.values()) - 1.0) < 1e-12
    for unit in units:
        placed = Placement(rollout).of(defect, unit, AT)
        assert placed.share == known[placed.arm]


def number(salt: str, unit: bytes) -> float:
    """A shopper's own under a salt, as it has been since the first roll-out: nobody may change arms."""
    digest = blake2b(unit, key=salt.encode(), person=b"arm", digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


@given(rollouts(), st.sampled_from([0.0, 0.5]), st.sampled_from(["slow", "other"]), st.binary(), st.integers(0, 10**7))
def test_whoever_was_in_an_arm_stays_in_it(
    rollout: Rollout, rotation: float, defect: str, unit: bytes, later: int
) -> None:
    rollout = rollout.following("test", AT, "test", hold_rotation_days=rotation)
    placement = Placement(rollout)
    for at in (AT, AT + timedelta(seconds=later)):
        salt = f"hold/{int(at.timestamp() // (rotation * 86400))}" if rotation else "hold"
        asked = [
            (Arm.HOLD, salt, rollout.hold),
            (Arm.PREVIOUS, "previous", rollout.previous and rollout.previous.split),
            (Arm.CANARY, "canary", rollout.canary and rollout.canary.split),
        ]
        if rollout.canary_defects and defect not in rollout.canary_defects:
            del asked[-1]
        met = [(arm, salt) for arm, salt, split in asked if split and number(salt, unit) < split.share]
        placed = placement.of(defect, unit, at)
        assert (placed.arm, placed.salt) == (met[0] if met else (Arm.LIVE, ""))
        assert placed == Placement(rollout).of(defect, unit, at), "whoever was placed before changes nothing"


@given(st.binary(), st.integers(-1, 1))
def test_a_slice_ends_at_its_very_share(unit: bytes, steps: int) -> None:
    own = number("salt", unit)
    share = own + steps * 2.0**-53
    if 0.0 < share < 1.0:
        assert Slice("salt", share).holds(unit) == (own < share)
        assert Slice("salt", math.nextafter(share, 1.0)).holds(unit) == (own < math.nextafter(share, 1.0))


def test_arms_are_told_apart_by_fixed_hashes() -> None:
    held = [index for index in range(60) if Slice("hold", 0.1).holds(b"shopper-%d" % index)]
    assert held == [2, 11, 12, 33, 38, 51, 52]


@given(rollouts(), SHARE)
def test_a_canarys_share_is_its_share_among_its_own_shoppers_and_the_live_arms(rollout: Rollout, share: float) -> None:
    canary = Canary(stand=Stand(version=3), split=Split(share=share, salt="c"), promotion_id=1, since=AT)
    with_canary = rollout.following("test", AT, "test", canary=canary, canary_defects=())
    assert abs(ratio(with_canary, "slow", Arm.CANARY) - share) < 1e-12
