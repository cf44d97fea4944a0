"""Watches as functions of the log: how it was read, and when its outcomes came, cannot be told from what they know."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxi_bandit.domain.alpha_ledger import share_of_alpha
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.errors import RolloutConflict
from cxi_bandit.engine import watch_canary, watch_guard, watch_live, watch_rows
from cxi_bandit.engine.promote import go_live
from cxi_bandit.engine.rollback import roll_back
from cxi_bandit.engine.watch import Watcher
from cxi_bandit.engine.watch_canary import CanaryWatch, Claim
from cxi_bandit.engine.watch_guard import GuardWatch
from cxi_bandit.engine.watch_live import LiveWatch
from cxi_bandit.engine.watch_view import View, canary_alpha, viewed
from cxi_bandit.policy.parsing import parse_manifest
from tests.harness.watched import CART, Shop, manifest

CHANCES = {"hold": 0.2, "retry_coupon": 0.5}
GUARD = '[[rollout.guardrails]]\nmetric = "complaint"\nbound = 0.2\n'

Sit = Callable[[Any, Any], tuple[Any, bool]]


def view_of(shop: Shop) -> View:
    ports = shop.watch_ports
    return viewed(CART, ports.releases, ports.registry, ports.manifests)


def shop_with_canary(joins_every: int) -> Shop:
    shop = Shop(manifest(0.5, GUARD), seed=11)
    shop.promote(manifest(0.3, GUARD))
    for number in range(120):
        shop.visit(CHANCES, decisions=1 + number % 3, name=f"shopper {number % 70}", complains=lambda _: 0.1)
        if number % joins_every == 0:
            shop.engine.turn(shop.now)
    shop.now += timedelta(hours=1)
    shop.engine.turn(shop.now)
    return shop


def shop_gone_live(joins_every: int) -> Shop:
    shop = Shop(manifest(0.5, GUARD), seed=12)
    promotion = shop.promote(manifest(0.3, GUARD))
    registry, releases, _, manifests = shop.ports
    shop.now += timedelta(minutes=1)
    go_live(promotion, registry, releases, manifests, by="test", at=shop.now, reason="to be watched")
    shop.engine.turn(shop.now)
    for day in range(3):
        for number in range(50):
            shop.visit(CHANCES, decisions=1 + number % 2, name=f"shopper {number + 20 * day}", complains=lambda _: 0.1)
            if number % joins_every == 0:
                shop.engine.turn(shop.now)
        shop.now += timedelta(days=1)
    shop.engine.turn(shop.now)
    return shop


def canary_sitting(shop: Shop) -> tuple[CanaryWatch, Sit]:
    view = view_of(shop)
    revisions = view.with_canary(1)
    listening = watch_canary.Listening(shop.watch_ports.visits, revisions, 1, view.ruler)
    return watch_canary.opened(revisions[min(revisions)].made_at, view.live), listening.listen


def live_sitting(shop: Shop) -> tuple[LiveWatch, Sit]:
    view = view_of(shop)
    listening = watch_live.Listening(shop.watch_ports.visits, view.since_live, view.ruler)
    return watch_live.opened(view.origin.made_at, view.against, 1, view.answering, 1e4), listening.listen


def guard_sitting(shop: Shop) -> tuple[GuardWatch, Sit]:
    view = view_of(shop)
    listening = watch_guard.Listening(shop.watch_ports.visits, view.since_live, view.live, shop.watch_ports.manifests)
    return watch_guard.opened(view.origin.made_at, Arm.LIVE, view.live), listening.listen


SITTINGS = {
    "canary": (shop_with_canary, canary_sitting),
    "live": (shop_gone_live, live_sitting),
    "guard": (shop_gone_live, guard_sitting),
}


@pytest.fixture(scope="module", params=SITTINGS)
def watched(request) -> tuple[Shop, Any, Sit, Any]:
    """A shop, a watch that has heard nothing, how it listens, and what it knows after one sitting at the end."""
    begin, sitting = SITTINGS[request.param]
    shop = begin(7)
    watch, listen = sitting(shop)
    return shop, watch, listen, listen(watch, shop.now)[0]


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cut_into_sittings_and_reads_gives_the_same_state(
    watched: tuple[Shop, Any, Sit, Any], data: st.DataObject
) -> None:
    shop, watch, listen, whole = watched
    start = shop.decisions[0].decided_at
    seconds = st.floats(0.0, (shop.now - start).total_seconds())
    moments = sorted(data.draw(st.lists(seconds, max_size=6)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch_rows, "BATCH", data.draw(st.integers(1, 60)))
        for moment in [start + timedelta(seconds=after) for after in moments] + [shop.now]:
            more = True
            while more:
                # Between sittings the state is text.
                kept = msgspec.json.decode(msgspec.json.encode(watch), type=type(watch))
                watch, more = listen(kept, moment)
    assert watch == whole


def test_the_state_stays_small_and_has_heard_something(watched: tuple[Shop, Any, Sit, Any]) -> None:
    whole = watched[3]
    assert whole.until is not None
    assert len(msgspec.json.encode(whole)) < 4000
    if isinstance(whole, CanaryWatch):
        assert sum(whole.shoppers) == 70, "a shopper is one unit, however often they came"
    if isinstance(whole, LiveWatch):
        assert whole.live.number + whole.other.number == 90
        assert whole.returning.position.units > 0
    if isinstance(whole, GuardWatch):
        assert whole.detectors["complaint"].position.units > 90, "once a day, and again the next"


@pytest.mark.parametrize("kind", SITTINGS)
def test_when_outcomes_were_joined_cannot_be_told(kind: str) -> None:
    begin, sitting = SITTINGS[kind]
    known = []
    for joins_every in (1, 1000):
        shop = begin(joins_every)
        watch, listen = sitting(shop)
        known.append(listen(watch, shop.now)[0])
    assert known[0] == known[1]


def test_whoever_was_exposed_later_waits_behind_a_window_that_is_not_closed() -> None:
    shop = Shop(manifest(0.5), seed=13)
    shop.promote(manifest(0.3))
    for _ in range(40):
        shop.visit(CHANCES)
    watch, listen = canary_sitting(shop)
    # Long past, by the clock; but the sequencer has closed none of it.
    late = shop.now + timedelta(days=1)
    waiting, more = listen(watch, late)
    assert (sum(waiting.shoppers), more) == (0, False)
    shop.now += timedelta(seconds=1)
    shop.engine.turn(shop.decisions[9].closes_at)
    some, _ = listen(waiting, late)
    assert 0 < sum(some.shoppers) <= 10
    shop.engine.turn(late)
    assert sum(listen(some, late)[0].shoppers) == 40


def test_a_canary_is_measured_by_the_live_manifests_reward() -> None:
    shop = Shop(manifest(0.5), seed=14)
    # The candidate calls a complaint a success, and a purchase nothing.
    purchase, complaint = "[reward.metrics.purchase]\nweight = ", "[reward.metrics.complaint]\nweight = "
    own = manifest(0.5).replace(f"{purchase}1.0", f"{purchase}0.0").replace(f"{complaint}0.0", f"{complaint}1.0")
    shop.promote(own)
    for _ in range(200):
        shop.visit({"hold": 1.0, "retry_coupon": 1.0}, complains=lambda _: 1.0)
    shop.now += timedelta(hours=1)
    shop.engine.turn(shop.now)
    watch, listen = canary_sitting(shop)
    heard, _ = listen(watch, shop.now)
    assert min(heard.shoppers) > 10
    view = view_of(shop)
    visits = shop.watch_ports.visits.between(CART, watch.after, shop.now, 500)
    assert {view.ruler.reward(visit) for visit in visits} == {1.0, 0.875}


@pytest.mark.parametrize(
    ("total", "scaled"), [(-3.0, 0.0), (-0.5, 0.0), (0.0, 0.2), (0.75, 0.5), (2.0, 1.0), (9.0, 1.0)]
)
def test_a_shoppers_sum_counts_from_the_least_reward_to_the_cap(total: float, scaled: float) -> None:
    text = manifest(0.5, "canary_reward_cap = 2.0")
    claim = Claim.of(parse_manifest(text, "cart.toml"))
    assert claim.scaled(total) == pytest.approx(scaled)


def test_two_watchers_make_one_watch_between_them() -> None:
    shops = [Shop(manifest(0.9), seed=15) for _ in range(2)]
    for shop in shops:
        shop.promote(manifest(0.1))
    pair = [shops[1].watcher, Watcher(shops[1].watch_ports)]
    for number in range(600):
        for shop in shops:
            shop.visit(CHANCES)
        if number % 60 == 59:
            shops[0].turn()
            shops[1].engine.turn(shops[1].now)
            for one in pair:
                one.turn(CART, shops[1].now)
    # The second has nothing new to keep, so sittings are as many; each act was done once.
    alone, together = (shop.engine.store.releases for shop in shops)
    assert alone.watch(CART, "canary/1") == together.watch(CART, "canary/1")
    assert [one.action for one in shops[0].ports.registry.trail(CART)] == [
        one.action for one in shops[1].ports.registry.trail(CART)
    ]


def test_a_sitting_that_another_has_kept_is_looked_at_again_and_acts_nothing() -> None:
    shop = Shop(manifest(0.9), seed=16)
    shop.promote(manifest(0.1))
    releases = shop.engine.store.releases

    class Overtaken:
        """A rival keeps the same sitting just before."""

        def __getattr__(self, name: str) -> Any:
            return getattr(releases, name)

        def keep_watch(self, policy, name, sitting, state):
            releases.keep_watch(policy, name, sitting, state)
            releases.keep_watch(policy, name, sitting, state)

    for _ in range(900):
        shop.visit({"hold": 0.9, "retry_coupon": 0.0})
    shop.now += timedelta(hours=1)
    shop.engine.turn(shop.now)
    with pytest.raises(RolloutConflict):
        Watcher(shop.watch_ports._replace(releases=Overtaken())).turn(CART, shop.now)
    assert shop.rollout.canary is not None, "it did not act on what it could not keep"
    assert [act.code for act in shop.watcher.turn(CART, shop.now).acts] == ["canary_worse"], "the next one does"


class Beaten:
    """Somebody acts just before a watch reads its canary's promotion for the so-manieth time."""

    def __init__(self, releases: Any, before: int, act: Callable[[], object]) -> None:
        self._releases = releases
        self._left = before
        self._act = act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._releases, name)

    def promotion(self, promotion_id: int) -> Any:
        self._left -= 1
        if self._left == 0:
            self._act()
        return self._releases.promotion(promotion_id)


@pytest.mark.parametrize("before", [1, 2])
def test_a_canary_that_a_person_took_back_first_does_not_cost_what_is_live(before: int) -> None:
    shop = Shop(manifest(0.5), seed=17)
    registry, releases, _, manifests = shop.ports
    shop.now += timedelta(minutes=1)
    first = shop.promote(manifest(0.9))
    go_live(first, registry, releases, manifests, by="test", at=shop.now, reason="so that something was live before")
    shop.engine.turn(shop.now)
    shop.promote(manifest(0.1))
    for _ in range(900):
        shop.visit({"hold": 0.9, "retry_coupon": 0.0})
    shop.now += timedelta(hours=1)
    shop.engine.turn(shop.now)
    live = shop.rollout.live

    def take_back() -> None:
        roll_back(shop.rollout, None, releases, by="eve", at=shop.now, reason="complaints")

    rival: Any = Beaten(releases, before, take_back)
    with pytest.raises(RolloutConflict):
        Watcher(shop.watch_ports._replace(releases=rival)).turn(CART, shop.now)
    assert (shop.rollout.canary, shop.rollout.live) == (None, live)


def test_a_step_that_another_watcher_took_first_is_not_taken_twice() -> None:
    text = (
        manifest(0.5).replace("[0.2, 0.5]", "[0.2, 0.3, 0.5]").replace("canary_shoppers = 100", "canary_shoppers = 20")
    )
    shop = Shop(text, seed=18)
    shop.promote(text.replace("hold = 0.5", "hold = 0.4"))
    began = shop.now
    for _ in range(400):
        shop.visit(CHANCES)
    shop.engine.turn(shop.now)
    # Both have heard all there is, and wait for the hour.
    early, due = began + timedelta(minutes=29), began + timedelta(hours=1)
    releases = shop.engine.store.releases
    while shop.watcher.turn(CART, early).more:
        pass
    assert releases.promotion(1).canary_step == 0
    rival: Any = Beaten(releases, 2, lambda: shop.watcher.turn(CART, due))
    second = Watcher(shop.watch_ports._replace(releases=rival))
    with pytest.raises(RolloutConflict):
        second.turn(CART, due)
    assert (releases.promotion(1).canary_step, shop.rollout.canary.split.share) == (1, 0.3)


def test_a_report_that_is_promoted_again_has_less_to_err_with() -> None:
    shop = Shop(manifest(0.9), seed=17)
    first = shop.promote(manifest(0.1))
    live = view_of(shop).live
    unfiled = msgspec.structs.replace(first, promotion_id=0)
    again = shop.ports.releases.propose(unfiled, shop.ports.registry.trail(CART)[-1])
    alphas = [canary_alpha(one, shop.watch_ports, live) for one in (first, again)]
    assert alphas == pytest.approx([share_of_alpha(0.05, 1), share_of_alpha(0.05, 2)])
