"""Roll-out by defect type, through the gate: each trial is against who is live for that type, on its own rows."""

import random
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.decision import Defect
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import RefusedByGate, Ruling
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.rollout import Stand
from cxi_bandit.engine.candidacy import Ports, Proposal
from cxi_bandit.engine.install import install
from cxi_bandit.engine.promote import approve, propose
from cxi_bandit.engine.warm import warm
from simulator.candidates import Candidate, ModelCandidate, Uniform
from simulator.datasets.closed_log import at_close, live, read_closes
from simulator.datasets.live_log import read_live_log
from simulator.trials import Docket, close_sitting, read_docket, weigh
from tests.harness.evidence import file_report
from tests.unit.engine.conftest import MANIFEST, Cart

CART = PolicyName("cart")
TEXT = (
    MANIFEST
    + """
[learning]
updates = "gated"
publish_seconds = 0.0
[exploration.cold_start]
outcomes = 3
[rollout]
canary_shares = []
"""
)
A_DAY = 200


@dataclass
class Market:
    """A cart whose shoppers buy at a discount, and by whose second version price jumps are answered."""

    cart: Cart = field(default_factory=lambda: Cart(text=TEXT))
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    shoppers: int = 0

    def __post_init__(self) -> None:
        store = self.cart.store
        self.ports = Ports(store.registry, store.releases, store.evaluations, self.cart.manifests)
        number = file_report(
            self.ports[:3], CART, self.candidate("second"), None, at=self.cart.now, defects=("price_jump",)
        )
        self.promote(2, None, number, "price_jump")

    def candidate(self, name: str) -> int:
        [version] = install(self.cart.store.registry, [("cart.toml", f"{TEXT}# {name}\n")], self.cart.now, "test")
        return version.version

    def promote(self, version: int, model: ModelVersion | None, report: int, *defects: str) -> None:
        asked = Proposal(policy=CART, version=version, model=model, evaluation_id=report, author="ann", defects=defects)
        approve(propose(asked, self.ports, self.cart.now).promotion_id, "bob", self.ports, self.cart.now)
        self.cart.serving.refresh()

    def open(self, days: int) -> None:
        for _ in range(days * A_DAY):
            self.shoppers += 1
            defect = ("coupon_failure", "price_jump")[self.shoppers % 2]
            decision = self.cart.logged(defect=Defect(defect, 0.5, 0.9), subject=f"s{self.shoppers}")
            if self.chance.random() < (0.9 if decision.intervention == "discount" else 0.1):
                self.cart.record(self.cart.event(decision, f"r{self.shoppers}"))
            self.cart.now += timedelta(days=1) / A_DAY - timedelta(seconds=1)
        self.cart.join(120)

    def learn(self, version: int) -> ModelVersion:
        cart, registry = self.cart, self.cart.store.registry
        known = next(known for known in registry.versions(CART) if known.version == version)
        *_, model = warm(known, cart.now, registry, cart.store.outcomes, cart.manifests, cart.room)
        return model.lineage.version

    def docket(self, *candidates: Candidate, defects: tuple[str, ...] = (), proposal: str | None = None) -> Docket:
        log = read_live_log(CART, self.cart.store.outcomes, self.cart.manifests, None)
        return read_docket(self.cart.store, self.cart.room, log, candidates, defects=defects, proposal=proposal)


@pytest.fixture(scope="module")
def begun() -> tuple[Market, ModelVersion]:
    """Three days, a third version that has learned them, and nine days more."""
    market = Market()
    market.open(3)
    model = market.learn(market.candidate("third"))
    market.open(9)
    return market, model


def test_a_third_version_is_tried_against_the_second_for_its_defect_type_and_promoted_for_that(
    begun: tuple[Market, ModelVersion],
) -> None:
    market, model = begun
    store = market.cart.store
    candidate = ModelCandidate.load(f"model:cart@{model}", CART, model, store.registry, market.cart.room)
    docket = market.docket(candidate, defects=("price_jump",))
    assert docket.proposal == f"model:cart@{model} on price_jump"
    assert docket.incumbent.name == "cart version 2, cold start"
    assert {row.decision.situation.defect.type for row in live(docket.closed.log).rows} == {"price_jump"}
    assert len(docket.closed.log) == market.shoppers // 2
    weighed = weigh(docket, candidate)
    learned = store.registry.model(CART, model).lineage.up_to
    before = [row.decision.decided_at for row in docket.closed.rows if row.position <= learned]
    assert weighed.opened_at > max(before), "what was learned of the other defect type is no test either"
    ((number, replay),) = close_sitting(docket, [weighed], store.evaluations, market.cart.now)
    report = store.evaluations.get(number).report
    assert (report.verdict.decision, report.defects) == (Ruling.GO, ("price_jump",)), report.verdict.reasons
    assert any("decisions on price_jump alone" in note for note in replay.notes)

    for named in ((), ("coupon_failure",)):
        with pytest.raises(RefusedByGate) as refused:
            market.promote(3, model, number, *named)
        assert [reason.code for reason in refused.value.reasons] == ["other_defects"]
    market.promote(3, model, number, "price_jump")
    rollout = store.releases.rollout(CART)
    assert (rollout.live, rollout.by_defect) == (Stand(version=1), {"price_jump": Stand(version=3, model=model)})


def test_defect_types_with_different_incumbents_are_not_tried_together() -> None:
    market = Market()
    market.open(1)
    for defects, told in (
        ((), "the others: cart version 1, cold start; price_jump: cart version 2, cold start"),
        (
            ("price_jump", "coupon_failure"),
            "the others: cart version 1, cold start; price_jump: cart version 2, cold start",
        ),
    ):
        with pytest.raises(InvalidInput, match="hold one trial for each, with --defect") as refused:
            market.docket(Uniform(), defects=defects)
        assert told in str(refused.value)
    with pytest.raises(InvalidInput, match="'thunder' is not one that the live version knows: coupon_failure, price_"):
        market.docket(Uniform(), defects=("thunder",))


def test_a_proposal_stays_with_its_defect_types() -> None:
    market = Market()
    market.open(1)
    docket = market.docket(Uniform(), defects=("price_jump",), proposal="p")
    close_sitting(docket, [weigh(docket, Uniform())], market.cart.store.evaluations, market.cart.now)
    with pytest.raises(InvalidInput, match="'p' is about the defect types price_jump; others are another proposal"):
        market.docket(Uniform(), defects=("coupon_failure",), proposal="p")
    assert market.docket(Uniform(), defects=("price_jump",), proposal="p").sitting == 1


def test_a_log_without_the_defect_type_is_refused_and_what_was_never_shown_is_of_an_unknown_one() -> None:
    market = Market()
    market.open(1)
    outcomes = market.cart.store.outcomes
    log = read_live_log(CART, outcomes, market.cart.manifests, None)
    unseen = [
        msgspec.structs.replace(close, standing=OutcomeStanding.UNACTIVATED) for close in read_closes(CART, outcomes)
    ]
    start = live(log).rows[0].decision.decided_at
    coupons = at_close(log, unseen).about(["coupon_failure"])
    assert len(coupons.log) == A_DAY // 2
    assert coupons.unactivated(start) == 0, "decisions on the other defect type are not missing"
    for absent in (0, 1):
        rest = log.take(np.array([row for row in range(len(log)) if row != absent], dtype=np.intp))
        assert at_close(rest, unseen).about(["coupon_failure"]).unactivated(start) == 1
    with pytest.raises(InvalidInput, match="cart has no decision on price_jump whose window has closed"):
        coupons.about(["price_jump"])
