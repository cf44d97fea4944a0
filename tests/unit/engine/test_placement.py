"""What a row says of its arm and its override is held against what was really rolled out and pinned."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD, Decision
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.override import Override
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.override import halt, lift, pin
from tests.harness.watched import CART, Shop, manifest

CHANCES = {"hold": 0.2, "retry_coupon": 0.5}
COUPON = InterventionId("retry_coupon")


@pytest.fixture(scope="module")
def shop() -> Shop:
    """A canary, shoppers left alone, a pin that has been lifted and a halt that stands."""
    made = Shop(manifest(0.5).replace("previous_share", "hold_share = 0.2\nprevious_share"), seed=21)
    made.promote(manifest(0.3))
    registry, releases, _, manifests = made.ports

    def come() -> None:
        made.engine.turn(made.now)
        for _ in range(100):
            made.visit(CHANCES)

    come()
    until = made.now + timedelta(hours=1)
    asked = Override(
        intervention=COUPON,
        author="eve",
        reason="sorry",
        made_at=made.now,
        expires_at=until,
        policy=CART,
        defect="coupon_failure",
    )
    pinned = pin(asked, registry, releases, manifests)
    come()
    lift(pinned.override_id, "eve", releases, made.now)
    halt(None, "eve", "the shop is down", releases, made.now)
    come()
    return made


def verdict(shop: Shop, decision: Decision) -> str:
    engine, ports = shop.engine, shop.ports
    judge = DecisionAudit(ports.registry, ports.releases, engine.manifests, engine.keyring, engine.room)
    return judge.audit(decision).verdict.value


def certain(decision: Decision, **changes: Any) -> Decision:
    vector = tuple(float(name == decision.intervention) for name in decision.situation.eligible)
    return msgspec.structs.replace(decision, probabilities=vector, propensity=1.0, **changes)


def test_every_decision_was_chosen_as_its_row_says(shop: Shop) -> None:
    assert {verdict(shop, decision) for decision in shop.decisions} == {"identical"}
    arms = {decision.assignment.arm for decision in shop.decisions if decision.assignment is not None}
    assert arms == {Arm.LIVE, Arm.CANARY, Arm.HOLD}
    assert {decision.override_id for decision in shop.decisions} == {None, 1, 2}


def test_another_arm_share_salt_or_revision_is_found(shop: Shop) -> None:
    drawn = next(one for one in shop.decisions if one.assignment is not None and one.assignment.arm is Arm.LIVE)
    assert drawn.assignment is not None
    changes: list[dict[str, object]] = [{"arm": Arm.CANARY}, {"share": 0.5}, {"salt": "x"}, {"revision": 1}]
    for change in [*changes, {"revision": 0}, {"revision": 99}]:
        forged = msgspec.structs.replace(drawn.assignment, **change)
        assert verdict(shop, msgspec.structs.replace(drawn, assignment=forged)) == "different", change
    kept = next(one for one in shop.decisions if one.intervention == HOLD and one.assignment == drawn.assignment)
    alone = msgspec.structs.replace(drawn.assignment, arm=Arm.HOLD, beside=())
    assert verdict(shop, certain(kept, assignment=alone)) == "different"


def test_an_override_that_nobody_made_or_that_pins_something_else_is_found(shop: Shop) -> None:
    drawn = next(one for one in shop.decisions if one.assignment is not None and one.intervention == COUPON)
    assert verdict(shop, certain(drawn, override_id=99, assignment=None)) == "different"
    assert verdict(shop, certain(drawn, override_id=2, assignment=None)) == "different", "a halt pins hold"
    assert verdict(shop, certain(drawn, override_id=1)) == "different", "who is pinned is in no arm"
    pinned = next(one for one in shop.decisions if one.override_id == 1)
    defect = msgspec.structs.replace(pinned.situation.defect, type="price_jump")
    other = msgspec.structs.replace(pinned.situation, defect=defect)
    assert verdict(shop, msgspec.structs.replace(pinned, situation=other)) == "different", "it pins one defect type"
