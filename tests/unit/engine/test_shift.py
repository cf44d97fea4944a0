"""The bound on how far a published model may move what shoppers meet."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import ShiftExceeded
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.audit import AuditVerdict, audit_models
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.shift import shift
from tests.unit.engine.conftest import MANIFEST, Cart

CART = PolicyName("cart")
BOUND = 0.05
SLOW = """
[exploration.cold_start]
outcomes = 5
[exploration.explorer]
algorithm = "softmax"
inverse_temperature = 2.0
[learning]
learning_rate = 0.02
"""


def taught(rules: str, outcomes: int = 60) -> tuple[Cart, Learner, list]:
    cart = Cart(MANIFEST + SLOW + rules)
    refused: list = []
    learner = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room, refused.append)
    for number in range(outcomes):
        decision = cart.decide()
        turn = number % len(decision.probabilities)
        decision = msgspec.structs.replace(
            decision, intervention=decision.situation.eligible[turn], propensity=decision.probabilities[turn]
        )
        cart.store.decisions.append([DecisionEntry(decision)])
        # What pays changes after the first model, so that the next one has to turn round.
        if decision.intervention == ("discount" if number < 10 else "retry_coupon"):
            cart.record(cart.event(decision, f"r{number}"))
        if number == 9:
            cart.join(100)
            learner.step(cart.version, cart.now)
    cart.join(100)
    return cart, learner, refused


def learn_all(cart: Cart, learner: Learner) -> list:
    found = [cart.store.registry.head(CART, 1)]
    while (model := learner.step(cart.version, cart.now)) is not None:
        found.append(model)
    return found


def test_without_a_bound_one_segment_is_one_model_and_moves_far() -> None:
    cart, learner, refused = taught("")
    before, after = learn_all(cart, learner)
    assert shift(before.golden, after.golden) > 2 * BOUND
    assert refused == []


def test_with_a_bound_it_goes_in_small_steps_that_add_up_to_all_that_was_learned() -> None:
    cart, learner, refused = taught(f"[rollout]\nmaximum_shift = {BOUND}\n")
    models = learn_all(cart, learner)
    moves = [shift(one.golden, other.golden) for one, other in pairwise(models)]
    assert len(moves) > 1
    assert max(moves) <= BOUND
    assert refused, "larger steps were tried first"
    assert models[-1].lineage.up_to == cart.store.outcomes.head(CART)
    assert models[-1].lineage.learned_total == 60
    assert all(one.lineage.up_to == other.lineage.after for one, other in pairwise(models))
    store = cart.store
    audited = audit_models(store.registry.models(CART), store.registry, store.outcomes, cart.manifests, cart.room)
    assert {finding.verdict for finding in audited} == {AuditVerdict.IDENTICAL}, (
        "the lineage names the smaller segments"
    )


def test_what_is_not_served_as_it_is_learned_is_not_bounded() -> None:
    cart, learner, refused = taught(f'updates = "gated"\n[rollout]\nmaximum_shift = {BOUND}\n')
    assert len(learn_all(cart, learner)) == 2
    assert refused == []


def test_where_one_outcome_moves_too_far_the_head_stays() -> None:
    cart, learner, _ = taught("[rollout]\nmaximum_shift = 1e-9\n")
    head = cart.store.registry.head(CART, 1)
    with pytest.raises(ShiftExceeded, match="raise the bound") as caught:
        learn_all(cart, learner)
    assert caught.value.parent == f"cart@{head.lineage.version}"
    assert caught.value.position == head.lineage.up_to + 1
    assert cart.store.registry.head(CART, 1) == head


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6), st.randoms())
def test_a_shift_is_a_distance_in_the_unit_interval(weights: list[float], random) -> None:
    one = tuple(weight / sum(weights) for weight in weights)
    other = tuple(random.sample(one, len(one)))
    assert shift((one,), (one,)) == 0.0
    assert 0.0 <= shift((one,), (other,)) == shift((other,), (one,)) <= 1.0
    assert shift((one, one), (other, one)) == shift((one,), (other,)), "the furthest situation counts"
