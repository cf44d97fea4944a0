"""One policy of the cart on an in-memory store, and the means to age it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import DecisionIdMint, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import JoinReport, join
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import RewardReceipt, record
from cxi_bandit.engine.serve import Serving
from cxi_bandit.store.memory import MemoryStore
from cxi_bandit.vowpal import VowpalRoom

MANIFEST = """
format = 1
name = "cart"
surface = "cart"
[defects.coupon_failure]
[defects.price_jump]
[context]
unknown_features = "drop"
[context.features.device]
type = "category"
values = ["mobile", "desktop"]
[context.features.cart_value]
type = "number"
min = 0.0
max = 500.0
[intervention_features]
unknown_features = "refuse"
[intervention_features.features.generosity]
type = "number"
min = 0.0
max = 1.0
[[interventions]]
id = "hold"
[[interventions]]
id = "retry_coupon"
defects = ["coupon_failure"]
[[interventions]]
id = "discount"
cost = 0.25
features = { generosity = 0.9 }
when = [{ field = "context.cart_value", comparison = "at_least", value = 20.0 }]
[reward]
horizon_seconds = 60.0
min = -0.5
max = 1.0
default = 0.0
[reward.metrics.purchase]
weight = 1.0
min = 0.0
max = 1.0
aggregate = "max"
"""


@dataclass
class Cart:
    text: str = MANIFEST
    now: datetime = datetime(2026, 5, 4, 10, tzinfo=UTC)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.mint = DecisionIdMint()
        self.room = VowpalRoom()
        self.manifests = Manifests(self.store.registry)
        install(self.store.registry, [("cart.toml", self.text)], self.now, "test")
        self.version = self.store.registry.versions()[0]
        self.serving = Serving(self.store.registry, self.store.releases, self.manifests, self.room)
        self.serving.refresh()

    def request(self, **changes: object) -> DecisionRequest:
        asked = {
            "surface": "cart",
            "defect": Defect("coupon_failure", 0.5, 0.9),
            "context": {"device": "mobile", "cart_value": 40.0},
        }
        return DecisionRequest(**{**asked, **changes})

    def decide(self, **changes: object) -> Decision:
        request = self.request(**changes)
        served = self.serving.route(request)
        keyring = self.store.keyring
        self.now += timedelta(seconds=1)
        return decide(
            request,
            admit(request, served),
            served,
            self.mint.mint(self.now),
            keyring.draw_key(),
            keyring.subject_key(),
        )

    def logged(self, **changes: object) -> Decision:
        decision = self.decide(**changes)
        self.store.decisions.append([DecisionEntry(decision)])
        return decision

    def event(self, decision: Decision, name: str, value: float | None = 1.0, **changes: object) -> RewardEvent:
        told = {
            "source": Source("shop"),
            "reward_id": RewardId(name),
            "decision_id": decision.decision_id,
            "metric": "purchase",
            "value": value,
            "occurred_at": decision.decided_at + timedelta(seconds=5),
        }
        return RewardEvent(**{**told, **changes})

    def record(self, *events: RewardEvent) -> list[RewardReceipt]:
        return record(events, self.now, self.store.decisions, self.store.ledger, self.manifests)

    def join(self, after_seconds: float = 0.0, lateness: float = 0.0) -> JoinReport:
        self.now += timedelta(seconds=after_seconds)
        return join(self.store.outcomes, self.manifests, self.now, timedelta(seconds=lateness))


@pytest.fixture
def cart() -> Cart:
    return Cart()


@pytest.fixture(scope="session")
def begin_cart():
    return Cart
