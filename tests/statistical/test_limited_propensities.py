"""Under budgets, caps and the cost of exploring the logged propensities still are the frequencies.

A limit that was enforced after the draw would show here: what it takes back was drawn with a probability the log does
not have. As in `test_propensities`, sums of (drawn - p) are martingales, taken apart by what was withheld. The keys,
ids and clocks follow the seed. A right engine would fail this file, under other seeds, once in a thousand.
"""

import random
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

import pytest
import structlog
from scipy import stats

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, lowest_id_at
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit
from cxi_bandit.engine.choose import Keys
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.limiting import Bounds
from cxi_bandit.engine.overriding import Overrides
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.policy.budgets import day_of
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.service.leases import WorkerLeases
from cxi_bandit.telemetry.metrics import Metrics
from tests.unit.engine.conftest import MANIFEST, Cart

pytestmark = pytest.mark.statistical

LIMITED = (
    MANIFEST.replace('id = "discount"', 'id = "discount"\nprice = 5.0\nbudget_per_day = 1600')
    .replace('id = "retry_coupon"', 'id = "retry_coupon"\nprice = 0.5\nper_day = 420')
    .replace(
        "[reward]\n",
        "[limits]\ncaps = [{ interventions = ['retry_coupon'], most = 2, seconds = 8000 }, "
        "{ interventions = ['discount'], most = 1, seconds = 4000 }]\n"
        "exploration_cost_per_day = 420\n[reward]\n",
        1,
    )
)
DECISIONS, STEP, SHOPPERS = 6000, timedelta(seconds=40), 60
WORTH = {"hold": 0.1, "retry_coupon": 0.3, "discount": 0.75}
FALSE_ALARM = 1e-3 / 24


def run(patch: pytest.MonkeyPatch) -> tuple[Cart, list[Decision]]:
    """A shop with few shoppers, whose policy learns as it goes; leases are looked at every twenty decisions."""
    passed = [0.0]
    patch.setattr("cxi_bandit.service.leases.time.monotonic", lambda: passed[0])
    chance, cart = random.Random(11), Cart(LIMITED)
    cart.store.keyring._draw = DrawKey("draw-1", chance.randbytes(32))
    keys = Keys(cart.store.keyring.draw_key(), cart.store.keyring.subject_key())
    silent = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    leases = WorkerLeases(cart.store.budgets, cart.serving, lambda: cart.now, silent, Metrics())
    learner = Learner(cart.store.registry, cart.store.outcomes, cart.manifests, cart.room)
    made = []
    for number in range(DECISIONS):
        cart.now += STEP
        if number % 20 == 0:
            passed[0] += 1.0
            leases.look()
        if number % 500 == 499:
            cart.join()
            learner.step(cart.version, cart.now)
            cart.serving.refresh()
        request = cart.request(subject=f"shopper-{chance.randrange(SHOPPERS)}", context={"cart_value": 40.0})
        (routed,) = cart.serving.rollouts
        name = DecisionId(UUID(int=lowest_id_at(cart.now).int | 0x7 << 76 | 0b10 << 62 | chance.getrandbits(62)))
        asked = routed.ask(request, Overrides(), name, keys)
        wanted = routed.permit_request(asked)
        assert wanted is not None
        (refused,) = cart.store.permits.take([wanted])
        bounds = Bounds(leases, wanted.wanted - refused.keys(), refused)
        chosen = routed.answer(asked, keys, bounds=bounds)
        leases.spend(chosen.spendings)
        decision = chosen.decision
        cart.store.decisions.append([DecisionEntry(decision)])
        cart.store.permits.release([name])
        cart.record(cart.event(decision, f"r-{number}", float(chance.random() < WORTH[decision.intervention])))
        made.append(decision)
    return cart, made


@pytest.fixture(scope="module")
def shop() -> tuple[Cart, list[Decision]]:
    with pytest.MonkeyPatch.context() as patch:
        return run(patch)


def test_frequencies_match_logged_propensities_whatever_was_withheld(shop: tuple[Cart, list[Decision]]) -> None:
    sums: dict[tuple[tuple[str, ...], InterventionId], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for decision in shop[1]:
        reasons = tuple(sorted({f"{name}: {words.partition(' ')[0]}" for name, words in decision.excluded.items()}))
        for name, probability in zip(decision.situation.eligible, decision.probabilities, strict=True):
            count = sums[reasons, name]
            count[0] += name == decision.intervention
            count[1] += probability
            count[2] += probability * (1.0 - probability)
    tested = {key: count for key, count in sums.items() if count[2] > 5.0}
    words = {word for reasons, _ in tested for word in reasons}
    assert {"discount: the", "discount: would", "retry_coupon: the"} < words, "caps, and the cost of exploring"
    assert any(word.endswith("nothing") for word in words), "budgets"
    assert len(tested) <= 24
    for key, (seen, wanted, variance) in tested.items():
        z = (seen - wanted) / variance**0.5
        assert 2 * stats.norm.sf(abs(z)) > FALSE_ALARM, (key, z)


def test_floors_are_above_what_is_left_and_every_limit_was_kept(shop: tuple[Cart, list[Decision]]) -> None:
    uses: dict[tuple[object, str], int] = defaultdict(int)
    for decision in shop[1]:
        uses[day_of(decision.decided_at, "UTC"), decision.intervention] += 1
        for name, probability in zip(decision.situation.eligible, decision.probabilities, strict=True):
            assert probability >= (0.02 if name == "hold" else 0.01) * (1 - 1e-12)
    assert max(count for (_, name), count in uses.items() if name == "discount") == 320
    assert max(count for (_, name), count in uses.items() if name == "retry_coupon") <= 420
    for decision in shop[1]:
        since = decision.decided_at - timedelta(seconds=4000)
        mine = [row for row in shop[1] if row.subject == decision.subject and since < row.decided_at]
        assert sum(row.intervention == "discount" and row.decided_at <= decision.decided_at for row in mine) <= 1


def test_every_decision_executes_again_from_its_row_alone(shop: tuple[Cart, list[Decision]]) -> None:
    cart, made = shop
    audit = DecisionAudit(cart.store.registry, cart.store.releases, cart.manifests, cart.store.keyring, cart.room)
    assert {audit.audit(decision).verdict for decision in made} == {AuditVerdict.IDENTICAL}
    assert any(decision.model_version is not None for decision in made)
