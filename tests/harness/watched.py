"""A shop whose roll-outs are watched: shoppers with known tastes, the real engine in memory, a clock that is moved."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import PolicyName, RewardId, Source
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.candidacy import Ports, Proposal
from cxi_bandit.engine.install import install
from cxi_bandit.engine.promote import approve, propose
from cxi_bandit.engine.watch import Act, Watcher
from cxi_bandit.engine.watch_view import WatchPorts
from simulator.in_process import InProcess
from tests.harness.evidence import file_report

CART = PolicyName("cart")

TEXT = """
format = 1
name = "cart"
surface = "cart"
[defects.coupon_failure]
[defects.price_jump]
[context]
[[interventions]]
id = "hold"
[[interventions]]
id = "retry_coupon"
cost = 0.125
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
weight = 0.0
min = 0.0
max = 1.0
aggregate = "max"
[exploration.cold_start]
hold = HOLD
[learning]
updates = "gated"
[rollout]
canary_shares = [0.2, 0.5]
canary_hours = 0.5
canary_shoppers = 100
previous_share = 0.2
alarm_at = 10000.0
"""

Chances = Mapping[str, float]
"""The probability of a purchase, by intervention."""


def manifest(hold: float, *more: str) -> str:
    """A policy that draws `hold` so often, and never learns."""
    return "\n".join([TEXT.replace("HOLD", str(hold)), *more])


class Shop:
    """One shopper after the other, three seconds apart, each with one decision or a few."""

    def __init__(self, text: str, seed: int) -> None:
        self.now = datetime(2026, 5, 4, 10, tzinfo=UTC)
        self.engine = InProcess({"cart.toml": text}, self.now, seed)
        store = self.engine.store
        self.ports = Ports(store.registry, store.releases, store.evaluations, self.engine.manifests)
        self.watch_ports = WatchPorts(
            store.visits, store.registry, store.releases, store.evaluations, self.engine.manifests
        )
        self.watcher = Watcher(self.watch_ports)
        self.acts: list[Act] = []
        self.decisions: list[Decision] = []
        self._random = random.Random(seed)
        self._shoppers = 0
        self.engine.turn(self.now)

    @property
    def rollout(self) -> Rollout:
        return self.engine.store.releases.rollout(CART)

    def promote(self, text: str) -> Promotion:
        """A candidate with a passing report, approved: its canary has begun, and the workers know."""
        (version,) = install(self.ports.registry, [("cart.toml", text)], self.now, "test")
        report = file_report(self.ports[:3], CART, version.version, None, at=self.now)
        asked = Proposal(policy=CART, version=version.version, model=None, evaluation_id=report, author="ann")
        filed = propose(asked, self.ports, self.now)
        self.engine.turn(self.now)
        approved = approve(filed.promotion_id, "bob", self.ports, self.now)
        self.engine.turn(self.now)
        return approved

    def visit(
        self,
        chances: Chances,
        decisions: int = 1,
        kept: Callable[[Decision], bool] = lambda _: True,
        complains: Callable[[Decision], float] = lambda _: 0.0,
        name: str | None = None,
    ) -> None:
        """A shopper comes, is decided for, and reports soon; what is not kept never reaches the log."""
        self._shoppers += 1
        subject = name or f"shopper {self._shoppers}"
        for number in range(decisions):
            self.now += timedelta(seconds=3)
            request = DecisionRequest("cart", Defect("coupon_failure", 0.5, 0.9), subject=subject)
            decision = self.engine.decide(request, self.now)
            if not kept(decision):
                continue
            self.engine.log(decision)
            self.decisions.append(decision)
            for metric, chance in (("purchase", chances[decision.intervention]), ("complaint", complains(decision))):
                if self._random.random() < chance:
                    event = RewardEvent(
                        source=Source("shop"),
                        reward_id=RewardId(f"{self._shoppers}.{number}.{metric}"),
                        decision_id=decision.decision_id,
                        metric=metric,
                        value=1.0,
                        occurred_at=self.now + timedelta(seconds=1),
                    )
                    self.engine.record([event], self.now)

    def turn(self) -> list[Act]:
        """Join, take up, watch; until there is nothing more to be read."""
        self.engine.turn(self.now)
        found: list[Act] = []
        while True:
            turn = self.watcher.turn(CART, self.now)
            found += turn.acts
            if not turn.more and not turn.acts:
                break
            self.engine.turn(self.now)
        self.acts += found
        return found

    def days(self, shoppers: int, chances: Chances, every: int = 100, **like: object) -> int:
        """So many shoppers, a turn after each `every` of them; stops at an act. Returns how many came."""
        for number in range(1, shoppers + 1):
            self.visit(chances, **like)  # type: ignore[arg-type] # as `visit` takes them
            if number % every == 0 and self.turn():
                return number
        return shoppers

    def in_arm(self, arm: Arm) -> int:
        return sum(one.assignment is not None and one.assignment.arm is arm for one in self.decisions)
