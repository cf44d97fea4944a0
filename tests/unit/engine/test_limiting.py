"""Limits leave less to draw; what is drawn is the policy's own vector over that, and can be executed again."""

from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Canary, Rollout, Split
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit
from cxi_bandit.engine.choose import Chosen, Keys, ServedRollout
from cxi_bandit.engine.limiting import Account, Bounds, most_probable
from cxi_bandit.engine.overriding import Overrides
from cxi_bandit.policy.budgets import EXPLORING
from tests.unit.engine.conftest import MANIFEST, Cart

RETRY, DISCOUNT, HOLD = map(InterventionId, ("retry_coupon", "discount", "hold"))
LIMITED = (
    MANIFEST.replace('id = "discount"', 'id = "discount"\nprice = 5.0\nbudget_per_day = 100')
    .replace('id = "retry_coupon"', 'id = "retry_coupon"\nprice = 2.0')
    .replace("[reward]\n", "[limits]\nexploration_cost_per_day = 50\n[reward]\n", 1)
)
CAPPED = MANIFEST.replace(
    "[reward]\n", "[limits]\ncaps = [{ interventions = ['discount'], most = 2, seconds = 60 }]\n[reward]\n", 1
)
NO_LEASE = "nothing is left on lease of budget_per_day 100"
TOO_DEAR = "would cost more than is left on lease of exploration_cost_per_day 50"


class Purse:
    """Leases as a test sets them, by line and arm; plenty of the others."""

    def __init__(self, **left: int) -> None:
        self.units = left

    def left(self, account: Account) -> int:
        name = "exploring" if account.name == EXPLORING else account.name
        return self.units.get(f"{account.arm.value}_{name}", self.units.get(name, 10**9))


class Limited:
    """One policy's roll-out, asked again and again."""

    def __init__(self, text: str, **changes: object) -> None:
        self.cart = Cart(text)
        (served,) = self.cart.serving.rollouts
        rollout = served.rollout.following("test", self.cart.now, "as the test has it", **changes)
        entry = AuditEntry(at=self.cart.now, actor="test", action="roll out", policy=rollout.policy, detail={})
        self.cart.store.releases.roll_out(rollout, entry)
        self.routed = ServedRollout(rollout, dict.fromkeys([stand for _, stand in rollout.stands()], served.live))
        keyring = self.cart.store.keyring
        self.keys = Keys(keyring.draw_key(), keyring.subject_key())

    def choose(self, bounds: Bounds, overrides: Overrides | None = None, **changes: object) -> Chosen:
        self.cart.now += timedelta(seconds=1)
        name = self.cart.mint.mint(self.cart.now)
        return self.routed.choose(
            self.cart.request(**changes), overrides or Overrides(), name, self.keys, bounds=bounds
        )

    def permit_request(self, overrides: Overrides | None = None, **changes: object) -> object:
        name = self.cart.mint.mint(self.cart.now)
        asked = self.routed.ask(self.cart.request(**changes), overrides or Overrides(), name, self.keys)
        return self.routed.permit_request(asked)

    def audited(self, decision: Decision) -> AuditVerdict:
        cart, store = self.cart, self.cart.store
        audit = DecisionAudit(store.registry, store.releases, cart.manifests, store.keyring, cart.room)
        return audit.audit(decision).verdict


def canary(rollout: Rollout, share: float = 0.5) -> Canary:
    return Canary(
        stand=msgspec.structs.replace(rollout.live, follows_head=False),
        split=Split(share=share, salt="canary"),
        promotion_id=1,
        since=rollout.made_at,
    )


def test_without_a_lease_it_is_not_eligible_and_the_rest_has_its_floors() -> None:
    limited = Limited(LIMITED)
    decision = limited.choose(Bounds(Purse(discount=0))).decision
    assert decision.situation.eligible == (HOLD, RETRY)
    assert decision.excluded == {DISCOUNT: NO_LEASE}
    assert decision.probabilities == pytest.approx((0.02 + 0.97 * 0.3, 0.01 + 0.97 * 0.7))
    assert limited.audited(decision) is AuditVerdict.IDENTICAL


def test_a_rule_that_removed_it_before_keeps_its_word() -> None:
    decision = Limited(LIMITED).choose(Bounds(Purse(discount=0)), context={"cart_value": 5.0}).decision
    assert decision.excluded == {DISCOUNT: "needs context.cart_value at least 20.0"}


def test_what_is_drawn_is_paid_for_and_nothing_else() -> None:
    limited, costs = Limited(LIMITED), set()
    for _ in range(200):
        chosen = limited.choose(Bounds(Purse()))
        paid = [(spent.account.name, spent.units, spent.account.unit_money) for spent in chosen.spendings]
        costs.add((chosen.decision.intervention, *paid))
    # The cold start's first most probable one is the retry: to draw it explores nothing.
    assert costs == {
        (HOLD,),
        (RETRY,),
        (DISCOUNT, (DISCOUNT, 1, 5_000_000), (EXPLORING, 5_000_000, 1)),
    }


def test_what_exploring_may_not_cost_is_not_eligible() -> None:
    limited = Limited(LIMITED)
    decision = limited.choose(Bounds(Purse(exploring=4_999_999))).decision
    assert decision.excluded == {DISCOUNT: TOO_DEAR}
    assert decision.situation.eligible == (HOLD, RETRY)
    assert limited.audited(decision) is AuditVerdict.IDENTICAL
    assert limited.choose(Bounds(Purse(exploring=5_000_000))).decision.excluded == {}
    assert limited.choose(Bounds(Purse(exploring=0))).decision.situation.eligible == (HOLD, RETRY)


def test_nothing_drawn_ever_costs_more_to_explore_than_was_left() -> None:
    limited, left = Limited(LIMITED), 50_000_000
    while left:
        chosen = limited.choose(Bounds(Purse(exploring=left)))
        decision = chosen.decision
        spent = sum(each.units for each in chosen.spendings if each.account.name == EXPLORING)
        explored = decision.intervention != most_probable(decision.situation.eligible, decision.probabilities)
        assert bool(spent) == (explored and decision.intervention != HOLD)
        left -= spent
        assert left >= 0


def test_an_arm_spends_its_own_part() -> None:
    limited = Limited(LIMITED)
    limited = Limited(LIMITED, canary=canary(limited.routed.rollout))
    seen: Counter[tuple[Arm, bool]] = Counter()
    for number in range(100):
        chosen = limited.choose(Bounds(Purse(canary_discount=0)), subject=f"shopper-{number}")
        decision = chosen.decision
        assert decision.assignment is not None
        arm = decision.assignment.arm
        seen[arm, DISCOUNT in decision.situation.eligible] += 1
        assert {spent.account.arm for spent in chosen.spendings} <= {arm}
        # Those beside would have drawn from the same: nothing that could not be drawn here has a probability there.
        for beside in decision.assignment.beside:
            assert len(beside.probabilities) == len(decision.situation.eligible)
        assert limited.audited(decision) is AuditVerdict.IDENTICAL
    assert set(seen) == {(Arm.LIVE, True), (Arm.CANARY, False)}
    parts = {(line.arm, line.line.name): line.line.part.money for line in limited.routed.lines()}
    assert parts[Arm.LIVE, DISCOUNT] == parts[Arm.CANARY, DISCOUNT] == 50_000_000


def test_who_is_left_alone_spends_nothing() -> None:
    limited = Limited(LIMITED, hold=Split(share=0.999999, salt="hold"))
    chosen = limited.choose(Bounds(Purse(discount=0)), subject="shopper")
    assert (chosen.decision.intervention, chosen.decision.excluded, chosen.spendings) == (HOLD, {}, ())


def pinned(cart: Cart, intervention: InterventionId) -> Overrides:
    until = cart.now + timedelta(days=1)
    made = {"override_id": 7, "policy": None, "intervention": intervention, "made_at": cart.now, "author": "ann"}
    return Overrides([Override(**made, reason="sale", expires_at=until)])


def test_a_pin_is_paid_for_and_yields_when_nothing_is_left() -> None:
    limited = Limited(LIMITED)
    overrides = pinned(limited.cart, DISCOUNT)
    chosen = limited.choose(Bounds(Purse(exploring=0)), overrides)
    assert (chosen.decision.override_id, chosen.decision.intervention) == (7, DISCOUNT)
    assert [spent.account.name for spent in chosen.spendings] == [DISCOUNT]
    chosen = limited.choose(Bounds(Purse(discount=0)), overrides)
    assert (chosen.decision.override_id, chosen.decision.excluded) == (None, {DISCOUNT: NO_LEASE})


def test_an_apprentice_imitates_within_its_budgets() -> None:
    limited = Limited(LIMITED, apprentice=True)
    chosen = limited.choose(Bounds(Purse(exploring=0)), baseline=DISCOUNT).decision
    assert chosen.situation.eligible == (HOLD, DISCOUNT)
    assert chosen.assignment is not None
    assert chosen.assignment.baseline == DISCOUNT
    assert limited.audited(chosen) is AuditVerdict.IDENTICAL
    held = limited.choose(Bounds(Purse(discount=0)), baseline=DISCOUNT).decision
    assert held.assignment is not None
    assert held.assignment.baseline == HOLD


def test_beside_a_canary_an_apprentices_vector_is_the_one_it_would_have_imitated_with() -> None:
    limited = Limited(LIMITED)
    limited = Limited(LIMITED, apprentice=True, canary=canary(limited.routed.rollout))
    seen: dict[Arm, set[tuple[float, ...]]] = {}
    for number in range(40):
        decision = limited.choose(Bounds(Purse()), subject=f"shopper-{number}", baseline=DISCOUNT).decision
        assert decision.assignment is not None
        beside = {one.place: one.probabilities for one in decision.assignment.beside}
        live = decision.probabilities if decision.assignment.arm is Arm.LIVE else beside["live"]
        seen.setdefault(decision.assignment.arm, set()).add(live)
    assert seen[Arm.CANARY] == seen[Arm.LIVE]
    ((vector,),) = [seen[Arm.LIVE]]
    assert max(vector) == vector[decision.situation.eligible.index(DISCOUNT)] > 0.9


def test_of_what_caps_are_about_only_what_is_permitted_may_be_drawn() -> None:
    limited = Limited(CAPPED)
    free = limited.choose(Bounds(Purse(), frozenset({DISCOUNT})), subject="s").decision
    assert free.excluded == {}
    refused = limited.choose(Bounds(Purse(), refused={DISCOUNT: "enough"}), subject="s").decision
    assert refused.excluded == {DISCOUNT: "enough"}
    unasked = limited.choose(Bounds(Purse()), subject="s").decision
    assert unasked.excluded == {DISCOUNT: "needs a permit of the shopper's caps, and none was given"}
    assert unasked.situation.eligible == (HOLD, RETRY)


def test_who_is_not_known_is_allowed_or_held_as_the_manifest_says() -> None:
    assert Limited(CAPPED).choose(Bounds(Purse())).decision.excluded == {}
    held = Limited(CAPPED.replace("[limits]\n", '[limits]\nanonymous = "hold"\n')).choose(Bounds(Purse())).decision
    assert held.excluded == {DISCOUNT: 'needs a shopper to count for, as limits.anonymous is "hold"'}


def test_a_permit_is_asked_for_only_where_something_capped_may_be_drawn() -> None:
    limited = Limited(CAPPED)
    asked = limited.permit_request(subject="s")
    assert asked is not None
    assert asked.wanted == {DISCOUNT}
    assert limited.permit_request() is None, "nobody to count for"
    assert limited.permit_request(subject="s", context={"cart_value": 5.0}) is None, "a rule removed it"
    assert limited.permit_request(pinned(limited.cart, HOLD), subject="s") is None, "a halt"
    assert limited.permit_request(pinned(limited.cart, DISCOUNT), subject="s") is not None, "a pin is a use"
    assert Limited(MANIFEST).permit_request(subject="s") is None, "no caps"
    alone = Limited(CAPPED, hold=Split(share=0.999999, salt="hold"))
    assert alone.permit_request(subject="s") is None, "left alone"


def test_what_was_asked_before_the_permit_is_answered_as_if_it_were_asked_now() -> None:
    limited = Limited(CAPPED)
    limited = Limited(CAPPED, canary=canary(limited.routed.rollout), hold=Split(share=0.2, salt="hold"))
    bounds = Bounds(Purse(), refused={DISCOUNT: "enough"})
    for overrides in (Overrides(), pinned(limited.cart, DISCOUNT), pinned(limited.cart, RETRY)):
        for subject in (None, *[f"shopper-{number}" for number in range(20)]):
            request, name = limited.cart.request(subject=subject), limited.cart.mint.mint(limited.cart.now)
            asked = limited.routed.ask(request, overrides, name, limited.keys)
            for bound in (None, bounds):
                found = limited.routed.answer(asked, limited.keys, bounds=bound)
                assert found == limited.routed.choose(request, overrides, name, limited.keys, bounds=bound)


def test_without_limits_the_roll_out_is_as_it_was() -> None:
    limited = Limited(MANIFEST)
    assert not limited.routed.limited
    assert limited.routed.lines() == []
