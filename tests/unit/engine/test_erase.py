"""A shopper is forgotten by the log, by the models and by the certificate that says so."""

import hashlib
import json
from datetime import timedelta

import pytest

from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.erase import affected, certify, erase, forget_latecomers
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry, PermitRequest
from cxi_bandit.engine.work_off import work_off
from cxi_bandit.policy.caps import Caps, Rule

ALICE, BOB = "alice@example.org", "bob@example.org"


@pytest.fixture
def learner(cart):
    return Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)


def shop(cart, learner, *subjects: str) -> list:
    """One decision each, rewarded, closed and learned, a segment of its own."""
    made = []
    for subject in subjects:
        made.append(cart.logged(subject=subject))
        cart.record(cart.event(made[-1], f"r-{made[-1].decision_id}"))
        cart.join(100)
        learner.step(cart.version, cart.now)
    return made


def erased(cart, subject: str, **more):
    store = cart.store
    name = pseudonym(store.keyring.subject_key(), subject)
    return erase(name, cart.now, store.decisions, store.outcomes, store.privacy, **more)


def rebuilt(cart) -> list:
    store = cart.store
    parts = (store.rebuilds, store.registry, store.outcomes, cart.manifests, cart.room)
    return list(work_off(cart.version.policy, *parts, clock=lambda: cart.now))


def certificate(cart, erasures, other):
    store = cart.store
    ports = {"registry": store.registry, "rebuilds": store.rebuilds, "privacy": store.privacy}
    return certify(erasures, other, "asked", cart.now, cart.now, **ports)


def test_what_was_decided_for_a_shopper_goes_and_nothing_else(cart, learner):
    shop(cart, learner, BOB, ALICE, BOB, ALICE)
    (made,), other = erased(cart, ALICE)
    assert (made.learnable, other) == ((2, 4), {})
    assert {table: rows for table, rows in made.removed.items() if rows} == {
        "outcomes": 2,
        "reward_ledger": 2,
        "decisions": 2,
    }
    left = cart.store.decisions.scan(cart.version.policy, None, 9)
    assert {decision.subject for decision in left} == {pseudonym(cart.store.keyring.subject_key(), BOB)}
    assert len(left) == 2
    assert erased(cart, ALICE) == ([], {}), "again: nothing is left to go"


def test_the_models_that_had_learned_it_are_named_and_replaced(cart, learner):
    shop(cart, learner, BOB, ALICE, BOB)
    (made,), _ = erased(cart, ALICE)
    registry, policy = cart.store.registry, cart.version.policy
    assert affected(made, registry.models(policy)) == [3, 4], "the one that learned it and the one derived from that"
    new = rebuilt(cart)
    assert affected(made, registry.models(policy)) == [3, 4]
    assert new[0].lineage.parent == 2
    assert new[-1].lineage.learned_total == 2
    assert registry.head(policy, 1) == new[-1]


def test_a_certificate_says_what_went_and_names_nobody(cart, learner):
    made = shop(cart, learner, BOB, ALICE, BOB)
    erasures, other = erased(cart, ALICE, steps=[lambda subject, at: {"orders": 2}, lambda subject, at: {"orders": 1}])
    early = certificate(cart, erasures, other)
    new = rebuilt(cart)
    filed = certificate(cart, erasures, other)
    record = json.loads(filed.document)
    (entry,) = record["policies"]
    assert (entry["policy"], entry["erasure_number"], entry["decisions"]) == ("cart", 1, 1)
    assert entry["models_affected"] == [3, 4]
    assert entry["replaced_by"] == [new[-1].lineage.version]
    assert json.loads(early.document)["policies"][0]["replaced_by"] == []
    assert record["other"] == {"orders": 3}
    again = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(again.encode()).hexdigest() == filed.sha256
    assert cart.store.privacy.certificates() == [early, filed]
    name = made[1].subject
    assert name is not None
    for secret in (ALICE, name.hex(), str(made[1].decision_id), made[1].decision_id.hex):
        assert secret not in filed.document


def test_what_was_decided_before_and_arrives_later_is_forgotten_too(cart, learner):
    late = cart.decide(subject=ALICE)
    shop(cart, learner, BOB)
    store, erased_at = cart.store, cart.now
    assert erased(cart, ALICE)[0] == []
    fresh = cart.decide(subject=ALICE)  # she came back
    store.decisions.append([DecisionEntry(late), DecisionEntry(fresh)])
    assert store.privacy.suppressed([late.subject]) == {late.subject: erased_at}
    assert late.decided_at <= erased_at < fresh.decided_at
    parts = (store.decisions, store.outcomes, store.privacy)
    (made,) = forget_latecomers(cart.now + timedelta(days=1), *parts)
    assert made.removed["decisions"] == 1
    assert store.decisions.find([late.decision_id, fresh.decision_id]) == {fresh.decision_id: fresh}
    assert forget_latecomers(cart.now + timedelta(days=1), *parts) == []
    store.decisions.append([DecisionEntry(late)])
    assert forget_latecomers(cart.now + timedelta(days=8), *parts) == [], "nothing is on its way for a week"


def test_an_open_window_is_erased_before_it_closes(cart, learner):
    shop(cart, learner, BOB)
    open_ = cart.logged(subject=ALICE)
    cart.record(cart.event(open_, "r"))
    (made,), _ = erased(cart, ALICE)
    assert made.learnable == ()
    assert cart.join(100).idle
    assert affected(made, cart.store.registry.models(cart.version.policy)) == []
    assert rebuilt(cart) == []


def test_a_shoppers_permits_go_too(cart):
    store = cart.store
    caps = Caps(
        (Rule(frozenset({"discount"}), 1, timedelta(days=7), "enough"),),
        frozenset({"discount"}),
        timedelta(days=7),
        counts_nobody=False,
    )
    for name in (ALICE, BOB):
        subject = pseudonym(store.keyring.subject_key(), name)
        asked = PermitRequest(cart.mint.mint(cart.now), cart.version.policy, subject, cart.now, caps, caps.about)
        assert store.permits.take([asked]) == [{}]
    _, other = erased(cart, ALICE, steps=[store.permits.forget_shopper])
    assert other == {"permits": 1}
    assert erased(cart, ALICE, steps=[store.permits.forget_shopper])[1] == {}
    bob = pseudonym(store.keyring.subject_key(), BOB)
    assert store.permits.forget_shopper(bob, cart.now) == {"permits": 1}
