"""A small policy, and a life for it: decisions, rewards in any order, passes of the sequencer, segments learned."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import DecisionIdMint, RewardId, Source
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import ServedPolicy, admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import (
    DecisionEntry,
    DecisionLog,
    Keyring,
    ModelRoom,
    OutcomeLog,
    Registry,
    Releases,
    RewardLedger,
)
from cxi_bandit.engine.record import record
from cxi_bandit.engine.serve import Serving
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.vowpal import VowpalRoom

EXPLORERS = {
    "squarecb": 'algorithm = "squarecb"\ngamma_scale = 1000.0',
    "epsilon_greedy": 'algorithm = "epsilon_greedy"\nepsilon = 0.1',
    "softmax": 'algorithm = "softmax"\ninverse_temperature = 5.0',
    "cover": 'algorithm = "cover"\npolicies = 3',
    "bag": 'algorithm = "bag"\nmodels = 4',
    "regcb": 'algorithm = "regcb"',
    "rnd": 'algorithm = "rnd"\nnetworks = 3',
}

MANIFEST = """
format = 1
name = "small"
surface = "cart"

[defects.coupon_failure]
[defects.price_jump]

[context.features.device]
type = "category"
[context.features.cart_value]
type = "number"
min = 0.0
max = 500.0
scale = "log"
[context.features.returning]
type = "flag"

[intervention_features.features.generosity]
type = "number"
min = 0.0
max = 1.0

[[interventions]]
id = "hold"
[[interventions]]
id = "retry_coupon"
features = {{ generosity = 0.2 }}
defects = ["coupon_failure"]
[[interventions]]
id = "discount"
cost = 0.2
features = {{ generosity = 0.9 }}
[[interventions]]
id = "free_shipping"
cost = 0.1
features = {{ generosity = 0.5 }}
when = [{{ field = "context.cart_value", comparison = "at_least", value = 10.0 }}]

[reward]
horizon_seconds = 60.0
min = -0.5
max = 1.0
[reward.metrics.purchase]
weight = 1.0
min = 0.0
max = 1.0
aggregate = "max"
[reward.metrics.complaint]
weight = -0.5
min = 0.0
max = 1.0

[exploration.explorer]
{explorer}
[exploration.cold_start]
outcomes = 20

[learning]
bits = 14
segment_outcomes = 40
publish_seconds = 0.0
{learning}
"""

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)


@dataclass
class Store:
    """The ports a life needs, whichever store stands behind them."""

    decisions: DecisionLog
    ledger: RewardLedger
    outcomes: OutcomeLog
    registry: Registry
    releases: Releases
    keyring: Keyring


@dataclass
class Life:
    """One policy living on a store, with a clock of its own."""

    store: Store
    explorer: str
    seed: int = 0
    learning: str = ""
    room: ModelRoom = field(default_factory=VowpalRoom)
    now: datetime = BEGIN

    def __post_init__(self) -> None:
        # A view of our own: a test may replace a port without touching the store.
        self.store = Store(*(getattr(self.store, name) for name in Store.__dataclass_fields__))
        self.random = random.Random(self.seed)
        self.mint = DecisionIdMint()
        self.manifests = Manifests(self.store.registry)
        text = MANIFEST.format(explorer=EXPLORERS[self.explorer], learning=self.learning)
        install(self.store.registry, [("small.toml", text)], self.now, "test")
        self.version: PolicyVersion = self.store.registry.versions()[0]
        self.learner = Learner(self.store.registry, self.store.outcomes, self.manifests, self.room)
        self.serving = Serving(self.store.registry, self.store.releases, self.manifests, self.room)
        self.decided: list[Decision] = []

    @property
    def manifest(self) -> Manifest:
        return self.manifests.by_sha(self.version.manifest_sha)

    def decide(self, count: int) -> list[Decision]:
        """Decisions one second apart, not yet in the log."""
        self.serving.refresh()
        made = []
        for _ in range(count):
            self.now += timedelta(seconds=1)
            request = DecisionRequest(
                surface="cart",
                subject=f"shopper-{self.random.randrange(30)}",
                defect=Defect(
                    type=self.random.choice(["coupon_failure", "price_jump"]),
                    severity=self.random.random(),
                    confidence=self.random.random(),
                ),
                context={
                    "cart_value": self.random.uniform(0, 500),
                    "device": self.random.choice(["mobile", "desk top", "tab|let:1"]),
                    "returning": self.random.random() < 0.5,
                },
            )
            served: ServedPolicy = self.serving.route(request)
            keyring = self.store.keyring
            made.append(
                decide(
                    request,
                    admit(request, served),
                    served,
                    self.mint.mint(self.now),
                    keyring.draw_key(),
                    keyring.subject_key(),
                )
            )
        self.decided += made
        return made

    def log(self, decisions: list[Decision]) -> None:
        self.store.decisions.append([DecisionEntry(decision) for decision in decisions])

    def rewards(self, decisions: list[Decision]) -> list[RewardEvent]:
        """Some decisions are rewarded, some twice, some corrected or retracted."""
        events = []
        for decision in decisions:
            if self.random.random() < 0.6:
                events.append(self.reward(decision, "purchase", float(self.random.random() < 0.5)))
            if self.random.random() < 0.2:
                events.append(self.reward(decision, "complaint", self.random.random()))
        events += self.random.sample(events, len(events) // 5)
        return events

    def reward(self, decision: Decision, metric: str, value: float) -> RewardEvent:
        return RewardEvent(
            source=Source("shop"),
            reward_id=RewardId(f"r-{self.random.getrandbits(60):x}"),
            decision_id=decision.decision_id,
            metric=metric,
            value=value,
            occurred_at=decision.decided_at + timedelta(seconds=self.random.uniform(0, 59)),
        )

    def record(self, events: list[RewardEvent]) -> None:
        record(events, self.now, self.store.decisions, self.store.ledger, self.manifests)

    def pass_on(self, seconds: float = 0.0) -> None:
        """Time goes by, then one pass of the sequencer and every segment there is to learn."""
        self.now += timedelta(seconds=seconds)
        join(self.store.outcomes, self.manifests, self.now, timedelta(0))
        while self.learner.step(self.version, self.now) is not None:
            pass

    def live(self, rounds: int = 6, size: int = 30) -> None:
        """Rounds of deciding, logging out of order, rewarding out of order, some before their decision is logged."""
        late: list[Decision] = []
        for _ in range(rounds):
            made = self.decide(size)
            events = self.rewards(made)
            self.random.shuffle(events)
            self.record(events[: len(events) // 3])
            shuffled = self.random.sample(made, len(made))
            self.log([*late, *shuffled[5:]])
            late = shuffled[:5]
            self.record(events[len(events) // 3 :])
            self.pass_on(90)
        self.log(late)
        self.pass_on(90)


@pytest.fixture
def begin_life() -> Callable[..., Life]:
    return Life
