"""Arms: the share that is logged is the share that is declared, whichever arms there are."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.rollout import Canary, Previous, Rollout, Split, Stand
from cxi_bandit.policy.arms import Placement, ratio, shares

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


@given(rollouts(), SHARE)
def test_a_canarys_share_is_its_share_among_its_own_shoppers_and_the_live_arms(rollout: Rollout, share: float) -> None:
    canary = Canary(stand=Stand(version=3), split=Split(share=share, salt="c"), promotion_id=1, since=AT)
    with_canary = rollout.following("test", AT, "test", canary=canary, canary_defects=())
    assert abs(ratio(with_canary, "slow", Arm.CANARY) - share) < 1e-12
