"""Clocks that jump by an hour, back and forth, in a process and at a restart: nothing is lost, doubled or misjudged."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import DecisionIdMint, RewardId, Source, minted_at
from cxi_bandit.domain.reward import RewardEvent, RewardStatus
from cxi_bandit.engine.audit import AuditVerdict
from cxi_bandit.engine.audit_outcomes import audit_outcomes
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record

HOUR = timedelta(hours=1)
HORIZON = timedelta(hours=2)
LATENESS = timedelta(seconds=0.25)
MANIFEST = """
format = 1
name = "cart"
surface = "cart"
[defects.coupon_failure]
[context.features.device]
type = "category"
values = ["mobile", "desktop"]
[[interventions]]
id = "hold"
[[interventions]]
id = "discount"
[reward]
horizon_seconds = 7200
min = 0.0
max = 1.0
metrics.order = { weight = 1.0, min = 0.0, max = 1.0, aggregate = "max" }
"""


class Jumping:
    """A clock that goes on with the true time, up to an hour wrong."""

    def __init__(self) -> None:
        self.true = datetime(2026, 11, 20, 23, 50, tzinfo=UTC)
        self.wrong = timedelta()

    def __call__(self) -> datetime:
        return self.true + self.wrong


class Shop:
    """A service whose clock jumps, with callers and senders whose clocks do not."""

    def __init__(self, store: Any, seed: int) -> None:
        self.clock = Jumping()
        self.engine: Engine = build_engine(store, self.clock)
        install(store.registry, [("cart.toml", MANIFEST)], self.clock(), "test")
        self.engine.serving.refresh()
        self.mint = DecisionIdMint()
        self.seeded = random.Random(seed)
        self.decided: list[tuple[Decision, bool]] = []

    def restart(self) -> None:
        """Another process: it knows nothing of the ids before."""
        self.mint = DecisionIdMint()

    def decide(self) -> Decision:
        request = DecisionRequest("cart", Defect("coupon_failure", 0.5, 0.5), {})
        served = self.engine.serving.route(request)
        name = self.mint.mint(self.clock())
        key, subject = self.engine.draw_key, self.engine.subject_key
        decision = decide(request, admit(request, served), served, name, key, subject)
        self.engine.store.decisions.append([DecisionEntry(decision)])
        return decision

    def visit(self) -> None:
        """A decision and, for half of them, its reward, ten true seconds later."""
        decision = self.decide()
        rewarded = self.seeded.random() < 0.5
        occurred_at = self.clock.true + timedelta(seconds=10)
        self.clock.true = occurred_at
        self.decided.append((decision, rewarded))
        if rewarded:
            event = RewardEvent(
                source=Source("shop"),
                reward_id=RewardId(str(decision.decision_id)),
                decision_id=decision.decision_id,
                metric="order",
                value=1.0,
                occurred_at=occurred_at,
            )
            store = self.engine.store
            (receipt,) = record([event], self.clock(), store.decisions, store.ledger, self.engine.manifests)
            assert receipt.status is RewardStatus.ACCEPTED

    def join(self) -> None:
        while not join(self.engine.store.outcomes, self.engine.manifests, self.clock(), LATENESS).idle:
            pass


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_clock_does_each_decision_closes_once_on_its_own_reward(store: Any, seed: int) -> None:
    shop = Shop(store, seed)
    for step in range(60):
        if step % 6 == 0:
            shop.clock.wrong = shop.seeded.choice([-HOUR, timedelta(), HOUR])
        if step % 10 == 0:
            shop.restart()
        shop.visit()
        shop.clock.true += timedelta(minutes=shop.seeded.uniform(0, 10))
        shop.join()
    shop.clock.wrong = timedelta()
    # The clock is right again, and what was decided with one that was ahead has closed, too.
    shop.clock.true += HORIZON + HOUR + timedelta(minutes=1)
    shop.join()
    outcomes = store.outcomes
    latest = [outcomes.revisions(decision.decision_id)[-1].settlement.reward for decision, _ in shop.decided]
    assert latest == [1.0 if rewarded else 0.0 for _, rewarded in shop.decided]
    positions = [
        revision.position for decision, _ in shop.decided for revision in outcomes.revisions(decision.decision_id)
    ]
    head = outcomes.head(shop.decided[0][0].policy)
    assert sorted(positions) == list(range(1, head + 1)), "dense, each once"
    assert len(outcomes.closes(shop.decided[0][0].policy, 0, 1000)) == len(shop.decided), "one first close each"
    decisions = [decision for decision, _ in shop.decided]
    verdicts = {finding.verdict for finding in audit_outcomes(decisions, store.ledger, outcomes, shop.engine.manifests)}
    assert verdicts == {AuditVerdict.IDENTICAL}


def test_a_window_closes_by_the_clock_that_opened_it_and_late_rewards_still_count(store: Any) -> None:
    shop = Shop(store, 0)
    decision = shop.decide()
    shop.clock.true += timedelta(hours=1, minutes=1)
    shop.join()
    assert store.outcomes.revisions(decision.decision_id) == []
    shop.clock.wrong = HOUR  # by this clock the window has ended, an hour early
    shop.join()
    (first,) = store.outcomes.revisions(decision.decision_id)
    assert (first.settlement.reward, first.settlement.completed) == (0.0, False)
    shop.clock.wrong = timedelta()
    event = RewardEvent(
        source=Source("shop"),
        reward_id=RewardId("order"),
        decision_id=decision.decision_id,
        metric="order",
        value=1.0,
        occurred_at=shop.clock.true,
    )
    record([event], shop.clock(), store.decisions, store.ledger, shop.engine.manifests)
    shop.join()
    assert store.outcomes.revisions(decision.decision_id)[-1].settlement.reward == 1.0


def test_a_process_that_starts_with_a_clock_an_hour_back_is_logged_and_joined_like_any_other(store: Any) -> None:
    shop = Shop(store, 0)
    before = shop.decide()
    shop.restart()
    shop.clock.wrong = -HOUR
    after = shop.decide()
    assert after.decision_id < before.decision_id
    assert store.decisions.scan(before.policy, None, 10) == [after, before]
    shop.clock.wrong = timedelta()
    shop.clock.true += HORIZON + timedelta(minutes=1)
    shop.join()
    closed = [store.outcomes.revisions(decision.decision_id)[0].position for decision in (after, before)]
    assert closed == [1, 2], "in decision order"


@given(st.lists(st.timedeltas(min_value=-HOUR, max_value=HOUR), min_size=1, max_size=200))
def test_ids_of_a_process_never_run_backwards(jumps: list[timedelta]) -> None:
    mint, now = DecisionIdMint(), datetime(2026, 11, 20, 12, tzinfo=UTC)
    ids = []
    ahead = now
    for jump in jumps:
        now += jump
        ahead = max(ahead, now)
        ids.append(mint.mint(now))
        # What an id says lies no further ahead than the furthest the clock has been, but for a millisecond.
        assert now - timedelta(milliseconds=1) <= minted_at(ids[-1]) <= ahead + timedelta(milliseconds=1)
        assert (ids[-1].version, ids[-1].variant) == (7, "specified in RFC 4122")
    assert all(one < other for one, other in pairwise(ids))
