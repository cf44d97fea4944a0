from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.decision import Offer
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.reward import RewardStatus
from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry


def statuses(receipts):
    return [receipt.status for receipt in receipts]


def rewards_of(cart, decision):
    return [revision.settlement.reward for revision in cart.store.outcomes.revisions(decision.decision_id)]


def cost_of(decision):
    return 0.25 if decision.intervention == "discount" else 0.0


def test_every_delivery_is_answered_with_what_became_of_it(cart):
    decision, early = cart.logged(), cart.decide()
    assert statuses(cart.record(cart.event(decision, "a"))) == [RewardStatus.ACCEPTED]
    assert statuses(cart.record(cart.event(decision, "a"))) == [RewardStatus.DUPLICATE]
    assert statuses(cart.record(cart.event(decision, "a", 0.5))) == [RewardStatus.CONFLICT]
    assert statuses(cart.record(cart.event(early, "b"))) == [RewardStatus.PARKED]
    assert statuses(cart.record(cart.event(decision, "c", 7.0))) == [RewardStatus.QUARANTINED]
    assert statuses(cart.record(cart.event(decision, "d", metric="applause"))) == [RewardStatus.QUARANTINED]
    assert statuses(cart.record(cart.event(decision, "e", None))) == [RewardStatus.REJECTED]
    assert statuses(cart.record(cart.event(decision, "f", corrects="f"))) == [RewardStatus.REJECTED]
    assert [entry.event.reward_id for entry in cart.store.ledger.history(decision.decision_id)] == ["a", "c", "d"]


def test_a_list_is_answered_in_its_own_order(cart):
    decision = cart.logged()
    events = [cart.event(decision, "a"), cart.event(decision, "x", None), cart.event(decision, "a")]
    assert statuses(cart.record(*events)) == [RewardStatus.ACCEPTED, RewardStatus.REJECTED, RewardStatus.DUPLICATE]


def test_an_outcome_closes_when_its_window_ends_and_not_before(cart):
    decision = cart.logged()
    cart.record(cart.event(decision, "a", 0.5))
    assert cart.join(30).closed == 0
    assert cart.join(40).closed == 1
    assert rewards_of(cart, decision) == [0.5 - cost_of(decision)]
    assert cart.join(10).idle


def test_without_a_reward_the_default_stands(cart):
    decision = cart.logged()
    cart.join(100)
    settlement = cart.store.outcomes.revisions(decision.decision_id)[0].settlement
    assert (settlement.reward, settlement.completed) == (0.0 - cost_of(decision), False)


def test_a_reward_that_came_before_its_decision_counts(cart):
    decision = cart.decide()
    cart.record(cart.event(decision, "early"))
    cart.join()
    cart.store.decisions.append([DecisionEntry(decision)])
    cart.join(100)
    assert rewards_of(cart, decision) == [1.0 - cost_of(decision)]


def test_late_corrected_and_retracted_rewards_append_revisions(cart):
    decision = cart.logged()
    cart.join(100)
    base = -cost_of(decision)
    cart.record(cart.event(decision, "late", 1.0))
    assert cart.join().revised == 1
    cart.record(cart.event(decision, "fix", 0.5, corrects="late"))
    cart.join()
    cart.record(cart.event(decision, "undo", None, retracts="late", occurred_at=cart.now))
    cart.join()
    assert rewards_of(cart, decision) == [base, 1.0 + base, 0.5 + base, base]
    assert [revision.position for revision in cart.store.outcomes.revisions(decision.decision_id)] == [1, 2, 3, 4]


def test_a_reward_that_occurred_outside_the_window_changes_nothing(cart):
    decision = cart.logged()
    cart.record(cart.event(decision, "after", occurred_at=decision.closes_at + timedelta(milliseconds=1)))
    cart.record(cart.event(decision, "before", occurred_at=decision.decided_at - timedelta(seconds=3601)))
    cart.join(100)
    assert rewards_of(cart, decision) == [0.0 - cost_of(decision)]


def test_outcomes_enter_in_decision_order_whatever_order_they_were_logged_in(cart):
    made = [cart.decide() for _ in range(20)]
    for decision in [*made[10:], *made[:10]]:
        cart.store.decisions.append([DecisionEntry(decision)])
    cart.join(100)
    rows = cart.store.outcomes.scan(cart.version.policy, 0, 100)
    assert [row.decision.decision_id for row in rows] == [decision.decision_id for decision in made]


def test_the_watermark_waits_for_commits_on_their_way(cart):
    cart.logged()
    assert cart.join(61, lateness=5).closed == 0
    assert cart.join(5, lateness=5).closed == 1


def test_closing_on_the_first_reward_is_opt_in(cart, begin_cart):
    eager = begin_cart(text=cart.text.replace("[reward]", '[reward]\ncloses_on = "first_reward"'))
    decision = eager.logged()
    assert eager.join(5).closed == 0
    eager.record(eager.event(decision, "a"))
    assert eager.join(5).closed == 1
    assert rewards_of(eager, decision) == [1.0 - cost_of(decision)]
    assert eager.join(100).idle, "its window is closed for good"


@pytest.mark.parametrize(
    ("shown", "standing"), [(True, OutcomeStanding.LEARNABLE), (False, OutcomeStanding.UNACTIVATED)]
)
def test_a_policy_may_count_only_what_was_shown(cart, begin_cart, shown, standing):
    careful = begin_cart(
        text=cart.text.replace("[reward]", '[reward]\ncounts_when = "activated"\ndiscards_unseen = true')
    )
    decision = careful.logged()
    if shown:
        assert careful.store.decisions.activate(decision.decision_id, careful.now)
    careful.join(100)
    assert careful.store.outcomes.revisions(decision.decision_id)[0].standing is standing
    learnable = careful.store.outcomes.segment(careful.version.policy, 0, 1, 0).rows
    assert len(learnable) == int(shown)


def settled_after(begin_cart, steps):
    """The last settlement after decision, rewards and passes came in the order of `steps`."""
    cart = begin_cart()
    decision = cart.decide(interventions=(Offer("retry_coupon"),))
    late = decision.closes_at + timedelta(hours=1)
    moves = {
        "decision": lambda: cart.store.decisions.append([DecisionEntry(decision)]),
        "reward": lambda: cart.record(cart.event(decision, "r", 1.0)),
        "wild correction": lambda: cart.record(cart.event(decision, "w", 7.0, corrects="r", occurred_at=late)),
        "wild reward": lambda: cart.record(cart.event(decision, "x", 7.0)),
        "its correction": lambda: cart.record(cart.event(decision, "y", 0.25, corrects="x", occurred_at=late)),
        "pass": cart.join,
    }
    for step in steps:
        moves[step]()
    cart.join(7200)
    cart.join()
    return cart.store.outcomes.revisions(decision.decision_id)[-1].settlement


@given(
    steps=st.permutations(["decision", "reward", "wild correction", "wild reward", "its correction", "pass", "pass"])
)
def test_every_order_in_which_a_decision_and_its_events_arrive_settles_equal(begin_cart, steps):
    settlement = settled_after(begin_cart, steps)
    assert (settlement.metrics, settlement.counted) == ({"purchase": 1.0}, 2)


def test_no_window_closes_while_rewards_still_wait_for_their_turn(cart):
    decisions = [cart.logged() for _ in range(10)]
    for decision in decisions:
        cart.record(*(cart.event(decision, f"{decision.decision_id}-{index}") for index in range(3)))
    cart.now += timedelta(seconds=100)
    closed = [join(cart.store.outcomes, cart.manifests, cart.now, timedelta(0), limit=10).closed for _ in range(5)]
    assert closed == [0, 0, 0, 10, 0]
    assert all(cart.store.outcomes.revisions(d.decision_id)[0].settlement.counted == 3 for d in decisions)


def test_an_activation_counts_by_its_time_however_late_the_join(begin_cart):
    careful = begin_cart(
        text=begin_cart.text.replace("[reward]", '[reward]\ncounts_when = "activated"\ndiscards_unseen = true')
    )
    decision = careful.logged()
    careful.store.decisions.activate(decision.decision_id, decision.closes_at + timedelta(seconds=1))
    careful.join(7200)
    assert careful.store.outcomes.revisions(decision.decision_id)[0].standing is OutcomeStanding.UNACTIVATED


def test_an_early_close_waits_until_the_decision_was_shown(begin_cart):
    text = begin_cart.text.replace(
        "[reward]", '[reward]\ncounts_when = "activated"\ndiscards_unseen = true\ncloses_on = "first_reward"'
    )
    eager = begin_cart(text=text)
    decision = eager.logged()
    eager.record(eager.event(decision, "a"))
    assert eager.join(1).closed == 0
    eager.store.decisions.activate(decision.decision_id, eager.now)
    eager.join(100)
    assert eager.store.outcomes.revisions(decision.decision_id)[0].standing is OutcomeStanding.LEARNABLE


def test_what_nobody_saw_closes_unlearnable_with_its_rewards(cart):
    seen, unseen = cart.logged(), cart.logged()
    cart.store.decisions.abandon([unseen.decision_id])
    cart.record(cart.event(unseen, "a"))
    cart.join(100)
    standings = {
        name: cart.store.outcomes.revisions(name)[0].standing for name in (seen.decision_id, unseen.decision_id)
    }
    assert list(standings.values()) == [OutcomeStanding.LEARNABLE, OutcomeStanding.ABANDONED]
    assert rewards_of(cart, unseen) == [1.0 - cost_of(unseen)]
    segment = cart.store.outcomes.segment(seen.policy, 0, 2, cart.store.outcomes.ledger_cut())
    assert [row.position for row in segment.rows] == [cart.store.outcomes.revisions(seen.decision_id)[0].position]
