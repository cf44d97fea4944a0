"""Promise 11: under a clock that jumps by hours ids never run backwards, and every reward finds its decision."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.memory import MemoryStore
from tests.faults.proof import Losses, Proof, Tell
from tests.harness.clusters import BRITTLE
from tests.harness.ground import Ground
from tests.harness.policies import manifest

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
JUMPS = [timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=-7), timedelta(seconds=-1)]
HORIZON = timedelta(minutes=5)


class Clock:
    """Goes on by a second whenever it is read, and jumps when it is told to."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` decisions, half of them on each store, under a clock that jumps at every tenth."""
    store, _ = ground.store(BRITTLE)
    half = trials // 2
    return _live(build_engine(MemoryStore(), Clock()), half, tell) + _live(
        build_engine(store, Clock()), half, lambda done: tell(half + done)
    )


def _live(engine: Engine, count: int, tell: Tell) -> Proof:
    seeded = random.Random(13)
    clock = engine.clock
    text = manifest("squarecb", horizon_seconds=HORIZON.total_seconds())
    install(engine.store.registry, [("squarecb.toml", text)], BEGIN, "test")
    engine.serving.refresh()
    made: list[Decision] = []
    paid: dict[object, float] = {}
    for number in range(count):
        if number % 10 == 9:
            clock.now += seeded.choice(JUMPS)
            _pass(engine)
        decision = _decide(engine)
        made.append(decision)
        engine.store.decisions.append([DecisionEntry(decision)])
        if seeded.random() < 0.5:
            paid[decision.decision_id] = seeded.choice([0.0, 0.25, 1.0])
            _pay(engine, decision, paid[decision.decision_id])
        tell(number + 1)
    clock.now = max(decision.closes_at for decision in made) + HORIZON
    _pass(engine)
    losses = Losses()
    ids = [decision.decision_id for decision in made]
    losses.add("ids ran backwards", sum(later <= earlier for earlier, later in pairwise(ids)))
    for decision in made:
        revisions = engine.store.outcomes.revisions(decision.decision_id)
        expected = paid.get(decision.decision_id, 0.0)
        if not revisions or revisions[-1].settlement.reward != expected:
            losses.add(f"{decision.decision_id} should have come to {expected}: {revisions}")
    head = engine.store.registry.head(made[0].policy, 1)
    learned = 0 if head is None else head.lineage.learned_total
    losses.add(f"learned {learned} of {count}", abs(learned - count))
    return losses.proof(count)


def _decide(engine: Engine) -> Decision:
    request = DecisionRequest("squarecb", Defect("coupon_failure", 0.5, 0.5), {"cart_value": 40.0})
    served = engine.serving.route(request)
    decision_id = engine.mint.mint(engine.clock())
    return decide(request, admit(request, served), served, decision_id, engine.draw_key, engine.subject_key)


def _pay(engine: Engine, decision: Decision, value: float) -> None:
    event = RewardEvent(
        source=Source("shop"),
        reward_id=RewardId(str(decision.decision_id)),
        decision_id=decision.decision_id,
        metric="purchase",
        value=value,
        occurred_at=decision.decided_at + timedelta(seconds=30),
    )
    store = engine.store
    record([event], engine.clock(), store.decisions, store.ledger, engine.manifests)


def _pass(engine: Engine) -> None:
    store = engine.store
    join(store.outcomes, engine.manifests, engine.clock(), timedelta(0))
    learner = Learner(store.registry, store.outcomes, engine.manifests, engine.room)
    while learner.step(store.registry.versions()[0], engine.clock()) is not None:
        pass
    engine.serving.refresh()
