"""Visits: what a watch reads, in decision order, with the value known at close."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cxi_bandit.domain.decision import Defect, Situation
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, PolicyName
from cxi_bandit.engine.ports import DecisionEntry

CART = PolicyName("cart")
BEGINNING = DecisionId(UUID(int=0))
ANNA, BERT = b"a" * 32, b"b" * 32


def _about(defect: str) -> Situation:
    return Situation(
        defect=Defect(defect, 0.5, 0.9), context={}, eligible=(InterventionId("hold"), InterventionId("apply_coupon"))
    )


def _append(store: Any, *decisions: Any) -> None:
    store.decisions.append([DecisionEntry(decision) for decision in decisions])


def test_decisions_come_in_their_own_order_with_what_was_known_at_close(store: Any, make: Any, noon: datetime) -> None:
    rows = [make.decision() for _ in range(4)]
    _append(store, make.decision(policy="search"), rows[2], rows[0], rows[3], rows[1])
    with store.outcomes.sequencing() as sequencing:
        closed = sequencing.append([make.closure(rows[2], 0.75), make.closure(rows[0], 0.25)], noon)
    with store.outcomes.sequencing() as sequencing:
        sequencing.append([make.closure(rows[0], 1.0, revision=1)], noon)
    found = store.visits.between(CART, BEGINNING, noon + timedelta(hours=1), 10)
    assert [visit.decision for visit in found] == rows
    assert [visit.close for visit in found] == [closed[1], None, closed[0], None]
    after = store.visits.between(CART, rows[0].decision_id, noon + timedelta(hours=1), 2)
    assert [visit.decision for visit in after] == rows[1:3]
    before = store.visits.between(CART, BEGINNING, rows[2].decided_at, 10)
    assert [visit.decision for visit in before] == rows[:2]
    store.outcomes.erase(CART, [rows[0].decision_id], noon)
    assert [visit.decision for visit in store.visits.between(CART, BEGINNING, rows[3].decided_at, 10)] == rows[1:3]


def test_a_shoppers_first_decision_since_a_moment(store: Any, make: Any, noon: datetime) -> None:
    anna = [make.decision(subject=ANNA, situation=_about(defect)) for defect in ("slow", "coupon_failed", "slow")]
    bert = make.decision(subject=BERT)
    elsewhere = make.decision(policy="search", subject=BERT)
    _append(store, *anna, bert, elsewhere)
    since = noon - timedelta(hours=1)
    assert store.visits.first(CART, [ANNA, BERT, b"c" * 32], since) == {
        ANNA: anna[0].decision_id,
        BERT: bert.decision_id,
    }
    assert store.visits.first(CART, [ANNA], anna[1].decided_at) == {ANNA: anna[1].decision_id}
    assert store.visits.first(CART, [ANNA, BERT], since, ["coupon_failed"])[ANNA] == anna[1].decision_id
    assert store.visits.first(CART, [ANNA], since, ["unheard_of"]) == {}
    assert store.visits.first(CART, [], since) == {}
    store.outcomes.erase(CART, [anna[0].decision_id], noon)
    assert store.visits.first(CART, [ANNA], since) == {ANNA: anna[1].decision_id}


def test_what_follows_a_first_decision_within_a_window(store: Any, make: Any, noon: datetime) -> None:
    anna = [make.decision(subject=ANNA) for _ in range(4)]
    bert = make.decision(subject=BERT)
    _append(store, *anna, bert, make.decision(policy="search", subject=ANNA))
    with store.outcomes.sequencing() as sequencing:
        closed = sequencing.append([make.closure(anna[1], 0.5)], noon)
    window = anna[3].decided_at - anna[1].decided_at
    found = store.visits.following([anna[1], bert], window, 10)
    assert [visit.decision for visit in found[anna[1].decision_id]] == [anna[2]], "the window's end is outside"
    assert found[bert.decision_id] == []
    hour = store.visits.following([anna[0]], timedelta(hours=1), 2)[anna[0].decision_id]
    assert [(visit.decision, visit.close) for visit in hour] == [(anna[1], closed[0]), (anna[2], None)]
    assert store.visits.following([], window, 10) == {}
