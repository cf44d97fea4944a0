"""What another manifest is asked about a logged decision: what its own rules and the limits of that day leave."""

import msgspec
import pytest

from cxi_bandit.domain.decision import Decision, Situation
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.policy.manifest import Manifest
from simulator.datasets.live_contexts import LiveContexts
from tests.unit.engine.conftest import MANIFEST, Cart

DISCOUNT = InterventionId("discount")


def seen_by(cart: Cart, decision: Decision, manifest: Manifest) -> Situation:
    row = TrainingRow(position=1, decision=decision, reward=0.0)
    own = cart.manifests.by_sha(decision.manifest_sha)
    return LiveContexts([row], {decision.manifest_sha: own}).situation(0, manifest)


@pytest.fixture
def cart() -> Cart:
    return Cart(MANIFEST)


def test_a_limit_of_that_day_binds_every_manifest(cart: Cart) -> None:
    decision = cart.decide()
    assert DISCOUNT in decision.situation.eligible
    other = msgspec.structs.replace(cart.manifests.by_sha(decision.manifest_sha), description="another")
    assert seen_by(cart, decision, other).eligible == decision.situation.eligible
    left = tuple(name for name in decision.situation.eligible if name != DISCOUNT)
    limited = msgspec.structs.replace(
        decision,
        situation=msgspec.structs.replace(decision.situation, eligible=left),
        excluded={**decision.excluded, DISCOUNT: "nothing is left on lease of per_day 1"},
    )
    assert seen_by(cart, limited, other).eligible == left


def test_a_rule_binds_only_the_manifest_whose_it_is(cart: Cart) -> None:
    decision = cart.decide(context={"cart_value": 5.0})
    assert DISCOUNT in decision.excluded
    own = cart.manifests.by_sha(decision.manifest_sha)
    free = tuple(msgspec.structs.replace(entry, when=()) for entry in own.interventions)
    other = msgspec.structs.replace(own, interventions=free)
    assert DISCOUNT in seen_by(cart, decision, other).eligible
