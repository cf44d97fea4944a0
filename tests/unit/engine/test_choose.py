"""Beside a decision stands what every other version would have drawn from, each by its own manifest and model."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import msgspec
import pytest

from cxi_bandit.domain.assignment import Arm, Beside
from cxi_bandit.domain.decision import HOLD, DecisionRequest, Defect, Situation
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import InterventionId, ManifestSha, ModelVersion
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.rollout import Canary, Previous, Split, Stand
from cxi_bandit.engine.choose import Chosen, Keys, ServedRollout
from cxi_bandit.engine.choose_many import choose_many
from cxi_bandit.engine.decide import Distribution, ServedPolicy, admit, distribution, imitation
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.limiting import Account, Bounds, most_probable
from cxi_bandit.engine.overriding import Overrides
from cxi_bandit.policy.budgets import EXPLORING
from cxi_bandit.policy.parsing import parse_manifest
from tests.unit.engine.conftest import MANIFEST, Cart

DISCOUNT, RETRY = InterventionId("discount"), InterventionId("retry_coupon")
OURS = (
    MANIFEST.replace('id = "discount"', 'id = "discount"\nprice = 5.0\nbudget_per_day = 100')
    .replace('id = "retry_coupon"', 'id = "retry_coupon"\nprice = 2.0\nbudget_per_day = 100')
    .replace("[reward]\n", '[limits]\nexploration_cost_per_day = 50\ntime_zone = "Asia/Tokyo"\n[reward]\n', 1)
)
# It refuses large carts, and knows one intervention more.
THEIRS = OURS.replace("max = 500.0", "max = 50.0").replace(
    '[[interventions]]\nid = "retry', '[[interventions]]\nid = "gift"\n[[interventions]]\nid = "retry'
)
PLACES = ("live", "previous", "canary", "shadow", "shadow")
NAMES = ("live", "previous", "canary", "first shadow", "second shadow")


class Taught:
    """A scorer with a taste of its own."""

    def __init__(self, taste: int) -> None:
        self.taste = taste

    def probabilities(self, situation: Situation) -> Sequence[float]:
        seen = f"{self.taste} {situation.defect} {situation.context}"
        weights = [blake2b(f"{seen} {name}".encode()).digest()[0] + 1 for name in situation.eligible]
        return [weight / sum(weights) for weight in weights]

    def together(self, situation: Situation, others: Iterable["Taught"]) -> list[Sequence[float]]:
        return [one.probabilities(situation) for one in (self, *others)]


class Purse:
    """So much for exploring, and nothing for what is spent."""

    def __init__(self, exploring: int, spent: Iterable[InterventionId] = ()) -> None:
        self.exploring, self.spent = exploring, frozenset(spent)
        self.asked: set[Account] = set()

    def left(self, account: Account) -> int:
        self.asked.add(account)
        return self.exploring if account.name == EXPLORING else 0 if account.name in self.spent else 10**9


class Rolled:
    """Five versions of one policy in all the places that there are; those named have the other manifest."""

    def __init__(self, *theirs: str, apprentice: bool = False) -> None:
        self.cart = Cart(OURS)
        cart = self.cart
        (before,) = cart.serving.rollouts
        learner = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)
        head = learner.start(cart.version, cart.now)
        self.served = {
            Stand(version=number, model=ModelVersion(number)): self._version(head, number, name in theirs)
            for number, name in enumerate(NAMES, 1)
        }
        stands = list(self.served)
        rollout = before.rollout.following(
            "test",
            cart.now,
            "all at once",
            live=stands[0],
            hold=Split(share=0.2, salt="hold"),
            previous=Previous(stand=stands[1], split=Split(share=0.4, salt="previous"), since=cart.now),
            canary=Canary(stand=stands[2], split=Split(share=0.5, salt="canary"), promotion_id=1, since=cart.now),
            shadow=tuple(stands[3:]),
            apprentice=apprentice,
        )
        self.routed = ServedRollout(rollout, self.served)
        self.keys = Keys(cart.store.keyring.draw_key(), cart.store.keyring.subject_key())

    def _version(self, head: Model, number: int, theirs: bool) -> ServedPolicy:
        text = THEIRS if theirs else OURS
        lineage = msgspec.structs.replace(head.lineage, version=ModelVersion(number), learned_total=10**6)
        version = msgspec.structs.replace(
            self.cart.version, version=number, manifest_sha=ManifestSha(("b" if theirs else "a") * 64)
        )
        model = msgspec.structs.replace(head, lineage=lineage)
        return ServedPolicy(version, parse_manifest(text, "cart.toml"), model, Taught(number))

    def choose(self, request: DecisionRequest, bounds: Bounds | None) -> Chosen:
        self.cart.now += timedelta(seconds=1)
        name = self.cart.mint.mint(self.cart.now)
        return self.routed.choose(request, Overrides(), name, self.keys, bounds=bounds)


def admitted(request: DecisionRequest, served: ServedPolicy, withheld: dict[InterventionId, str]) -> Situation | None:
    try:
        return admit(request, served, withheld).situation
    except InvalidInput:
        return None


def vector(served: ServedPolicy, situation: Situation, baseline: InterventionId | None) -> Distribution:
    return distribution(served, situation) if baseline is None else imitation(served, situation, baseline)


@pytest.mark.parametrize("apprentice", [False, True])
@pytest.mark.parametrize(
    "theirs",
    [(), ("live",), ("canary", "first shadow"), ("previous", "second shadow"), ("first shadow",), NAMES[1:]],
    ids=" ".join,
)
@pytest.mark.parametrize("exploring", [None, 10**9, 5_000_000, 1_999_999, 0])
def test_each_vector_is_its_own_versions(theirs: tuple[str, ...], exploring: int | None, *, apprentice: bool) -> None:
    rolled, seeded, met = Rolled(*theirs, apprentice=apprentice), random.Random(5), Counter[Arm]()
    for number in range(40):
        request = rolled.cart.request(
            subject=f"shopper-{number}",
            context={"cart_value": seeded.choice([30.0, 45.0, 60.0])},
            baseline=seeded.choice([None, DISCOUNT, RETRY]),
        )
        spent = seeded.choice([(), (DISCOUNT,), (RETRY,)])
        bounds = None if exploring is None else Bounds(Purse(exploring, spent))
        try:
            decision = rolled.choose(request, bounds).decision
        except InvalidInput:
            assert admitted(request, rolled.routed.live, {}) is None
            continue
        told, found = decision.assignment, decision.situation
        assert told is not None
        met[told.arm] += 1
        if told.arm is Arm.HOLD:
            assert (told.beside, decision.intervention) == ((), HOLD)
            continue
        answering = rolled.routed.answering(told.arm, request.defect.type)
        ruled = admitted(request, answering, {})
        if ruled is None:
            answering, ruled = rolled.routed.live, admitted(request, rolled.routed.live, {})
        assert ruled is not None
        assert decision.policy_version == answering.version.version
        dear = {name: decision.excluded[name] for name in ruled.eligible if name not in found.eligible}
        withheld = {**dear, **dict.fromkeys(spent if bounds else (), "spent")}
        assert found == admitted(request, answering, withheld)
        drawn = vector(answering, found, told.baseline)
        assert (decision.probabilities, decision.model_version) == drawn[:2]
        if exploring is not None:
            first = most_probable(found.eligible, decision.probabilities)
            prices = {HOLD: 0, "gift": 0, RETRY: 2_000_000, DISCOUNT: 5_000_000}
            assert all(prices[name] <= exploring for name in found.eligible if name != first)
        expected = []
        for place, version in zip(PLACES, rolled.served.values(), strict=True):
            situation = admitted(request, version, withheld)
            if place == told.arm.value or situation is None:
                continue
            baseline = None
            if apprentice and place == "live":
                baseline = request.baseline if request.baseline in situation.eligible else HOLD
            other = vector(version, situation, baseline)
            expected.append(
                Beside(
                    place=place,
                    policy_version=version.version.version,
                    model_version=other.model_version,
                    probabilities=other.probabilities,
                    eligible=None if situation.eligible == found.eligible else situation.eligible,
                )
            )
        assert told.beside == tuple(expected)
    assert set(met) == set(Arm)


def test_every_day_has_its_own_accounts() -> None:
    rolled, days = Rolled(), set()
    for at in (datetime(2026, 5, 4, 14, 59, tzinfo=UTC), datetime(2026, 5, 4, 15, tzinfo=UTC)):
        rolled.cart.now, purse = at, Purse(10**9)
        for number in range(20):
            chosen = rolled.choose(rolled.cart.request(subject=f"shopper-{number}"), Bounds(purse))
            assert {spent.account for spent in chosen.spendings} <= purse.asked
        (day,) = {account.day for account in purse.asked}
        days.add(day.day)
    assert days == {4, 5}, "where the budgets' day begins"


def test_together_each_is_chosen_for_as_by_itself() -> None:
    cart, seeded = Cart(), random.Random(8)
    learner = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)
    head = learner.start(cart.version, cart.now)
    lineage = msgspec.structs.replace(head.lineage, learned_total=10**6)
    (first,) = cart.serving.rollouts
    served = ServedPolicy(cart.version, first.live.manifest, msgspec.structs.replace(head, lineage=lineage), Taught(3))
    routed = ServedRollout(first.rollout, {first.rollout.live: served})
    keys = Keys(cart.store.keyring.draw_key(), cart.store.keyring.subject_key())
    requests = [
        cart.request(
            subject=seeded.choice([None, "one", "another"]),
            defect=Defect(seeded.choice(["coupon_failure", "price_jump"]), seeded.random(), 1.0),
            context={"cart_value": seeded.choice([10.0, 45.0]), "unknown": 1.0},
        )
        for _ in range(50)
    ]
    names = cart.mint.mint_many(cart.now, len(requests))
    assert names == sorted(set(names))
    assert cart.mint.mint(cart.now) > names[-1]
    together = choose_many([(routed, request) for request in requests], names, keys)
    alone = [routed.choose(each, Overrides(), name, keys) for each, name in zip(requests, names, strict=True)]
    assert together == alone
    assert len({one.decision.intervention for one in together}) > 1
    assert {one.dropped_features for one in together} == {1}
    refused = cart.request(defect=Defect("coupon_failure", 2.0, 1.0))
    with pytest.raises(InvalidInput, match="severity"):
        choose_many([(routed, requests[0]), (routed, refused)], names[:2], keys)
