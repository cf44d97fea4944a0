"""Promotions: who may, on which evidence, what is rolled out, and what the audit trail tells."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import InvalidInput, ManifestInvalid, NotFound, RolloutConflict, WrongStep
from cxi_bandit.domain.gate import RefusedByGate, Ruling
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.promotion import Promotion, Step
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.candidacy import Ports, Proposal
from cxi_bandit.engine.install import install
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.promote import approve, go_live, next_step, propose, refuse
from cxi_bandit.engine.rollback import roll_back
from cxi_bandit.engine.shadow import leave_shadow, shadow
from cxi_bandit.engine.thin import thin
from cxi_bandit.policy.arms import Placement
from tests.harness.evidence import file_report
from tests.unit.engine.conftest import MANIFEST, Cart

CART = PolicyName("cart")
GATED = '\n[learning]\nupdates = "gated"\npublish_seconds = 0.0\n'
COLD = "\n[exploration.cold_start]\noutcomes = 3\n"
ROLLOUT = "\n[rollout]\nhold_share = 0.1\nprevious_share = 0.05\ncanary_shares = [0.1, 0.4]\n"


@dataclass
class Shop:
    """A cart with its first version live, and candidates to promote."""

    cart: Cart
    ports: Ports = field(init=False)

    def __post_init__(self) -> None:
        store = self.cart.store
        self.ports = Ports(store.registry, store.releases, store.evaluations, self.cart.manifests)

    @property
    def releases(self):
        return self.cart.store.releases

    @property
    def rollout(self) -> Rollout:
        return self.releases.rollout(CART)

    def later(self) -> None:
        self.cart.now += timedelta(minutes=1)

    def candidate(self, text: str) -> int:
        [version] = install(self.cart.store.registry, [("cart.toml", text)], self.cart.now, "test")
        return version.version

    def learn(self, version: int = 1, outcomes: int = 3) -> ModelVersion:
        cart, registry = self.cart, self.cart.store.registry
        for _ in range(outcomes):
            cart.logged()
        cart.join(100)
        learner = Learner(registry, cart.store.outcomes, cart.manifests, cart.room)
        known = registry.versions()[version - 1]
        while learner.step(known, cart.now) is not None:
            pass
        return registry.head(CART, version).lineage.version

    def report(self, version: int, model: int | None, *defects: str, ruling: Ruling = Ruling.GO) -> int:
        return file_report(self.ports[:3], CART, version, model, at=self.cart.now, ruling=ruling, defects=defects)

    def asked(self, version: int, model: int | None, report: int, *defects: str) -> Promotion:
        asked = Proposal(policy=CART, version=version, model=model, evaluation_id=report, author="ann", defects=defects)
        return propose(asked, self.ports, self.cart.now)

    def proposed(self, version: int, model: int | None, *defects: str) -> Promotion:
        return self.asked(version, model, self.report(version, model, *defects), *defects)

    def approved(self, version: int, model: int | None, *defects: str) -> Promotion:
        return approve(self.proposed(version, model, *defects).promotion_id, "bob", self.ports, self.cart.now)

    def live(self, version: int, model: int | None, *defects: str) -> Promotion:
        self.later()
        return self.gone_live(self.approved(version, model, *defects))

    def gone_live(self, promotion: Promotion) -> Promotion:
        self.later()
        registry, releases, _, manifests = self.ports
        told = {"by": "watch", "at": self.cart.now, "reason": "the canary won", "evidence": {"canary_log_e": "3.5"}}
        return go_live(promotion, registry, releases, manifests, **told)

    def back(self, to: int | None = None) -> Rollout:
        self.later()
        return roll_back(self.rollout, to, self.releases, by="eve", at=self.cart.now, reason="complaints")

    def trail(self) -> list[str]:
        return [entry.action for entry in self.cart.store.registry.trail(CART)]

    def stages(self) -> list[Stage]:
        return [version.stage for version in self.cart.store.registry.versions(CART)]


@pytest.fixture
def shop(begin_cart) -> Shop:
    """Gated updates, canary steps of 10 and 40 %."""
    return Shop(begin_cart(text=MANIFEST + GATED + COLD + ROLLOUT))


@pytest.fixture
def continuous(begin_cart) -> Shop:
    """Learns on, and has no canary."""
    return Shop(begin_cart(text=MANIFEST + COLD + "\n[rollout]\ncanary_shares = []\n"))


def test_a_model_goes_from_its_report_to_everybody_and_each_step_says_who_and_why(shop):
    model = shop.learn()
    proposed = shop.proposed(1, model)
    assert (proposed.step, proposed.incumbent) == (Step.PROPOSED, "cart version 1, cold start")
    assert proposed.forecast.candidate == 0.31
    canary = approve(proposed.promotion_id, "bob", shop.ports, shop.cart.now)
    assert (canary.step, canary.canary_step, [yes.by for yes in canary.approvals]) == (Step.CANARY, 0, ["bob"])
    assert shop.rollout.live == Stand(version=1)
    assert shop.rollout.canary.stand == Stand(version=1, model=model)
    assert (shop.rollout.canary.split.share, shop.rollout.canary.split.salt) == (0.1, "cart/canary/1")
    rules = shop.cart.manifests.by_sha(canary.manifest_sha).rollout
    shop.later()
    second = next_step(canary, rules, shop.releases, by="watch", at=shop.cart.now, reason="enough shoppers")
    assert (second.canary_step, shop.rollout.canary.split.share) == (1, 0.4)
    assert shop.rollout.canary.since == shop.cart.now
    with pytest.raises(WrongStep, match="last share"):
        next_step(second, rules, shop.releases, by="watch", at=shop.cart.now, reason="more")
    live = shop.gone_live(second)
    assert live.step is Step.LIVE
    assert shop.rollout.live == Stand(version=1, model=model)
    assert (shop.rollout.canary, shop.rollout.previous.stand) == (None, Stand(version=1))
    assert shop.rollout.previous.split.salt == "cart/previous/1"
    assert shop.trail() == [
        "install",
        "promotion propose",
        "promotion approve",
        "promotion step",
        "promotion live",
    ]
    last = shop.cart.store.registry.trail(CART)[-1]
    told = {"promotion": "1", "model": str(model), "evaluation": "1", "revision": "4", "canary_log_e": "3.5"}
    assert told.items() <= last.detail.items()
    assert last.actor == "watch"


def test_shoppers_of_a_canary_stay_in_it_when_it_grows(shop):
    canary = shop.approved(1, shop.learn())
    units = [bytes([a, b]) for a in range(16) for b in range(64)]

    def answered() -> set[bytes]:
        at = shop.cart.now
        return {unit for unit in units if Placement(shop.rollout).of("coupon_failure", unit, at).arm == "canary"}

    before = answered()
    rules = shop.cart.manifests.by_sha(canary.manifest_sha).rollout
    next_step(canary, rules, shop.releases, by="watch", at=shop.cart.now, reason="enough shoppers")
    assert 0 < len(before) < len(answered())
    assert before < answered()


@pytest.mark.parametrize(("ruling", "code"), [(Ruling.WAIT, "few_units"), (Ruling.REFUSE, "few_units")])
def test_without_a_go_nothing_is_filed_but_who_asked_and_what_was_said(shop, ruling, code):
    model = shop.learn()
    with pytest.raises(RefusedByGate, match="9 shoppers") as refused:
        shop.asked(1, model, shop.report(1, model, ruling=ruling))
    assert (refused.value.decision, [reason.code for reason in refused.value.reasons]) == (ruling, [code])
    assert shop.releases.promotions() == []
    last = shop.cart.store.registry.trail(CART)[-1]
    assert (last.action, last.actor, last.detail["ruling"]) == ("promotion turned down", "ann", ruling.value)


def test_a_report_is_about_exactly_the_pair_that_is_proposed(shop):
    first, second = shop.learn(), shop.learn()
    other = shop.candidate(MANIFEST + GATED + ROLLOUT)
    for version, model in ((1, second), (other, None)):
        with pytest.raises(RefusedByGate, match="evaluate exactly that pair") as refused:
            shop.asked(version, model, shop.report(1, first))
        assert [reason.code for reason in refused.value.reasons] == ["another_candidate"]
    with pytest.raises(InvalidInput, match=f"/model_version: model {first} is of version 1, not of {other}"):
        shop.asked(other, first, 1)


def test_what_is_not_there_is_not_proposed(shop):
    model = shop.learn()
    asked = Proposal(policy=PolicyName("nobody"), version=1, model=None, evaluation_id=1, author="ann")
    with pytest.raises(NotFound, match="roll-out of policy 'nobody'"):
        propose(asked, shop.ports, shop.cart.now)
    with pytest.raises(NotFound, match="cart version 9"):
        shop.asked(9, None, 1)
    with pytest.raises(NotFound, match="cart@99"):
        shop.asked(1, 99, 1)
    with pytest.raises(NotFound, match="evaluation '7'"):
        shop.asked(1, model, 7)
    with pytest.raises(InvalidInput, match="version 1 with the cold start is live already"):
        shop.asked(1, None, shop.report(1, None))
    with pytest.raises(InvalidInput, match="/defects/0: 'thunder' is not one that both"):
        shop.asked(1, model, shop.report(1, model), "thunder")
    shop.cart.store.registry.thin(CART, [model])
    shop.learn()
    shop.cart.store.registry.thin(CART, [model])
    with pytest.raises(InvalidInput, match=f"/model_version: the bytes of model {model} were thinned away"):
        shop.asked(1, model, 1)


def test_another_surface_or_another_policys_defect_is_not_taken_over(shop):
    elsewhere = shop.candidate((MANIFEST + GATED).replace('surface = "cart"', 'surface = "search"'))
    with pytest.raises(InvalidInput, match="/version: version 2 is for surface 'search', the live one for 'cart'"):
        shop.proposed(elsewhere, None)
    greedy = shop.candidate((MANIFEST + GATED).replace("[context]", "[defects.stockout]\n[context]"))
    rival = MANIFEST.replace('name = "cart"', 'name = "rival"').replace("price_jump", "stockout")
    rival = rival.replace("coupon_failure", "late_delivery")
    install(shop.cart.store.registry, [("rival.toml", rival)], shop.cart.now, "test")
    with pytest.raises(InvalidInput, match="defect 'stockout' on 'cart' is policy rival's"):
        shop.proposed(greedy, None)


def test_a_defect_that_another_policy_took_after_the_proposal_is_left_to_it(shop):
    registry = shop.cart.store.registry
    greedy = shop.candidate((MANIFEST + GATED + ROLLOUT).replace("[context]", "[defects.stockout]\n[context]"))
    rival = MANIFEST.replace('name = "cart"', 'name = "rival"').replace("price_jump", "stockout")
    rival = rival.replace("coupon_failure", "late_delivery")
    late = shop.proposed(greedy, None)
    approve(shop.proposed(greedy, None).promotion_id, "bob", shop.ports, shop.cart.now)
    with pytest.raises(ManifestInvalid, match="on 'cart' it is policy cart's"):
        install(registry, [("rival.toml", rival)], shop.cart.now, "test")
    shop.back()
    install(registry, [("rival.toml", rival)], shop.cart.now, "test")
    with pytest.raises(InvalidInput, match="defect 'stockout' on 'cart' is policy rival's"):
        approve(late.promotion_id, "bob", shop.ports, shop.cart.now)


def test_a_verdict_expires_when_the_incumbent_changes_before_the_approval(shop):
    first, second = shop.learn(), shop.learn()
    early, late = shop.proposed(1, first), shop.proposed(1, second)
    shop.gone_live(approve(early.promotion_id, "bob", shop.ports, shop.cart.now))
    with pytest.raises(RefusedByGate, match="cold start, but cart version 1, model") as refused:
        approve(late.promotion_id, "bob", shop.ports, shop.cart.now)
    assert [reason.code for reason in refused.value.reasons] == ["incumbent_changed"]
    ended = shop.releases.promotion(late.promotion_id)
    assert ended.step is Step.REFUSED
    assert ended.reason.startswith("incumbent_changed: ")
    assert shop.trail()[-1] == "promotion refuse"
    with pytest.raises(WrongStep, match="decided on already: refused"):
        approve(late.promotion_id, "bob", shop.ports, shop.cart.now)


def test_where_two_must_agree_the_proposer_is_only_one(begin_cart):
    shop = Shop(begin_cart(text=MANIFEST + GATED + COLD + "\n[gate]\napprovals = 2\n"))
    proposed = shop.proposed(1, shop.learn())
    with pytest.raises(RefusedByGate, match="ann proposed it, and the live manifest asks for a second person"):
        approve(proposed.promotion_id, "ann", shop.ports, shop.cart.now)
    assert shop.releases.promotion(proposed.promotion_id) == proposed
    assert shop.trail()[-1] == "promotion turned down"
    assert approve(proposed.promotion_id, "bob", shop.ports, shop.cart.now).step is Step.CANARY


def test_one_canary_at_a_time(shop):
    first, second = shop.learn(), shop.learn()
    shop.approved(1, first)
    waiting = shop.proposed(1, second)
    with pytest.raises(WrongStep, match="promotion 1 of cart is at its canary"):
        approve(waiting.promotion_id, "bob", shop.ports, shop.cart.now)
    assert shop.releases.promotion(waiting.promotion_id) == waiting


def test_only_what_was_proposed_can_be_refused_and_only_a_canary_goes_on(shop):
    proposed = shop.proposed(1, shop.learn())
    rules = shop.cart.manifests.by_sha(proposed.manifest_sha).rollout
    with pytest.raises(WrongStep, match="promotion 1 of cart is not at its canary"):
        next_step(proposed, rules, shop.releases, by="watch", at=shop.cart.now, reason="more")
    with pytest.raises(WrongStep, match="promotion 1 of cart is not at its canary"):
        shop.gone_live(proposed)
    ended = refuse(proposed, "no more wanted", "eve", shop.releases, shop.cart.now)
    assert (ended.step, ended.reason) == (Step.REFUSED, "no more wanted")
    with pytest.raises(WrongStep, match="stands at refused"):
        refuse(ended, "again", "eve", shop.releases, shop.cart.now)


def test_rivals_bring_about_one_revision(shop):
    promotion = shop.approved(1, shop.learn())
    revision = shop.rollout.revision

    def end(_: int) -> bool:
        try:
            shop.gone_live(promotion)
        except (RolloutConflict, WrongStep):
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(end, range(8))) == 1
    assert shop.rollout.revision == revision + 1


def test_rivals_approve_once(shop):
    proposed = shop.proposed(1, shop.learn())

    def say_yes(name: int) -> bool:
        try:
            approve(proposed.promotion_id, f"person {name}", shop.ports, shop.cart.now)
        except (RolloutConflict, WrongStep):
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(say_yes, range(8))) == 1
    assert [rollout.revision for rollout in shop.releases.history(CART)] == [1, 2]
    assert shop.trail().count("promotion approve") == 1


def test_a_continuous_version_goes_on_from_its_head_and_what_it_replaced_stays_as_it_was(continuous):
    shop = continuous
    old = shop.learn()
    new = shop.candidate(MANIFEST + COLD)
    live = shop.approved(new, None)
    assert (live.step, live.reason) == (Step.LIVE, "approved, and the live manifest declares no canary")
    assert shop.rollout.live == Stand(version=new, follows_head=True)
    assert shop.rollout.previous.stand == Stand(version=1, model=old)
    assert shop.stages() == [Stage.RETIRED, Stage.LIVE]
    shop.learn(new)
    with pytest.raises(InvalidInput, match=f"version {new} with the cold start is live already"):
        shop.asked(new, None, 1)


def test_of_a_continuous_version_only_the_head_is_a_candidate(continuous):
    shop = continuous
    other = shop.candidate(MANIFEST + COLD)
    shop.approved(other, None)
    shop.cart.serving.refresh()
    early, head = shop.learn(other), shop.learn(other)
    shop.back()
    shop.cart.serving.refresh()
    with pytest.raises(InvalidInput, match="/model_version: version 2 goes on learning from its head"):
        shop.asked(other, early, 1)
    proposed = shop.asked(other, None, shop.report(other, head))
    assert proposed.model == head, "left out, it is the head"
    shop.learn(other)
    with pytest.raises(RefusedByGate, match="has learned on") as refused:
        approve(proposed.promotion_id, "bob", shop.ports, shop.cart.now)
    assert [reason.code for reason in refused.value.reasons] == ["candidate_changed"]


def test_what_learned_on_during_its_canary_goes_live_as_it_was_tried(begin_cart):
    shop = Shop(begin_cart(text=MANIFEST + COLD + ROLLOUT))
    other = shop.candidate(MANIFEST + COLD)
    tried = shop.live(other, None)
    assert shop.rollout.live == Stand(version=other, follows_head=True)
    shop.cart.serving.refresh()
    head = shop.learn(other)
    shop.back()
    canary = shop.approved(other, head)
    shop.learn(other)
    live = shop.gone_live(canary)
    assert (tried.version, live.version) == (other, other)
    assert shop.rollout.live == Stand(version=other, model=head)


def test_a_promotion_can_be_about_some_defect_types_and_reach_the_others_later(shop):
    first, model = shop.learn(), shop.learn()
    canary = shop.approved(1, model, "price_jump")
    assert (canary.defects, shop.rollout.canary_defects) == (("price_jump",), ("price_jump",))
    shop.gone_live(canary)
    assert (shop.rollout.live, shop.rollout.by_defect) == (
        Stand(version=1),
        {"price_jump": Stand(version=1, model=model)},
    )
    with pytest.raises(RefusedByGate, match="tried against cart version 1, cold start") as refused:
        shop.proposed(1, first)
    assert refused.value.reasons[0].code == "incumbent_changed", "what is live for one defect type was not tried"
    with pytest.raises(InvalidInput, match="is live already"):
        shop.proposed(1, model, "price_jump")
    rest = shop.asked(1, model, shop.report(1, model, "coupon_failure"))
    assert rest.defects == ("coupon_failure",), "what it is not live for yet"
    shop.gone_live(approve(rest.promotion_id, "bob", shop.ports, shop.cart.now))
    assert (shop.rollout.live, shop.rollout.by_defect) == (Stand(version=1, model=model), {})
    shop.back()
    assert shop.rollout.by_defect == {"price_jump": Stand(version=1, model=model)}


def test_a_third_version_takes_a_defect_type_from_the_second_on_a_report_about_just_that(shop):
    second, third = (shop.candidate(MANIFEST + GATED + COLD + ROLLOUT + f"# {name}\n") for name in ("second", "third"))
    shop.live(second, None, "price_jump")
    wrong = (
        ((), ("price_jump",)),
        (("coupon_failure",), ("price_jump",)),
        (("price_jump",), ("coupon_failure",)),
        (("price_jump",), ()),
    )
    for tried, named in wrong:
        with pytest.raises(RefusedByGate, match=f"is about the defect types {', '.join(tried) or 'all'}, ") as refused:
            shop.asked(third, None, shop.report(third, None, *tried), *named)
        assert refused.value.decision is Ruling.REFUSE
        assert [reason.code for reason in refused.value.reasons] == ["other_defects"]
        assert shop.trail()[-1] == "promotion turned down"
    promotion = shop.live(third, None, "price_jump")
    assert promotion.incumbent == f"cart version {second}, cold start"
    assert (shop.rollout.live, shop.rollout.by_defect) == (Stand(version=1), {"price_jump": Stand(version=third)})


def test_an_apprentice_is_let_go_by_its_first_promotion(begin_cart):
    shop = Shop(begin_cart(text=MANIFEST + GATED + COLD + ROLLOUT + "apprentice = true\n"))
    assert shop.rollout.apprentice
    with pytest.raises(InvalidInput, match="/defects: an apprentice is let go for all"):
        shop.proposed(1, None, "price_jump")
    canary = shop.approved(1, None)
    assert shop.rollout.apprentice
    shop.gone_live(canary)
    assert not shop.rollout.apprentice
    assert shop.rollout.previous is None, "what callers would do cannot be served without them"
    shop.back()
    assert shop.rollout.apprentice


def test_the_next_manifest_says_who_is_left_alone(shop):
    other = shop.candidate(MANIFEST + GATED + "[rollout]\nhold_share = 0.02\nprevious_share = 0.0\n")
    before = shop.rollout.hold
    shop.live(other, None)
    assert (shop.rollout.hold.share, shop.rollout.hold.salt, before.share) == (0.02, before.salt, 0.1)
    assert shop.rollout.previous is None


def test_a_running_canary_is_taken_back_and_its_shoppers_with_it(shop):
    canary = shop.approved(1, shop.learn())
    after = shop.back()
    assert (after.canary, after.live, after.restores) == (None, Stand(version=1), None)
    ended = shop.releases.promotion(canary.promotion_id)
    assert (ended.step, ended.reason) == (Step.ROLLED_BACK, "complaints")
    last = shop.cart.store.registry.trail(CART)[-1]
    assert (last.action, last.actor, last.detail["promotion"], last.detail["reason"]) == (
        "rollback",
        "eve",
        "1",
        "complaints",
    )


def test_what_went_live_is_taken_back_step_by_step_and_never_forward(shop):
    models = [shop.learn() for _ in range(3)]
    promotions = [shop.live(1, model) for model in models]
    before = shop.rollout.previous
    for model, promotion in zip([*models[1::-1], None], promotions[::-1], strict=True):
        after = shop.back()
        assert after.live == Stand(version=1, model=model)
        assert shop.releases.promotion(promotion.promotion_id).step is Step.ROLLED_BACK
        shadow(CART, 1, models[2], "ann", shop.ports, shop.cart.now)
        leave_shadow(CART, 1, "ann", shop.releases, shop.cart.now)
    assert before.stand == Stand(version=1, model=models[1])
    assert shop.rollout.previous is None
    with pytest.raises(WrongStep, match="nothing was live before on cart; `halt`"):
        shop.back()


def test_what_was_promoted_again_after_a_rollback_can_be_taken_back_again(shop):
    one, two = shop.learn(), shop.learn()
    shop.live(1, one)
    shop.live(1, two)
    shop.back()
    again = shop.live(1, two)
    assert shop.back().live == Stand(version=1, model=one)
    assert shop.releases.promotion(again.promotion_id).step is Step.ROLLED_BACK


def test_who_takes_back_what_another_took_back_first_takes_back_nothing_more(shop):
    one = shop.learn()
    shop.live(1, one)
    shop.approved(1, shop.learn())
    seen = shop.rollout

    def end(_: int) -> bool:
        told = {"by": "eve", "at": shop.cart.now, "reason": "complaints"}
        try:
            looking_again(lambda: roll_back(seen, None, shop.releases, **told))
        except RolloutConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(end, range(8))) == 1
    assert (shop.rollout.canary, shop.rollout.live) == (None, Stand(version=1, model=one))
    shadow(CART, 1, shop.learn(), "ann", shop.ports, shop.cart.now)
    assert not end(0)


def test_a_rollback_does_not_mind_what_changes_nobody_s_answer(shop):
    canary, seen = shop.approved(1, shop.learn()), shop.rollout
    rules = shop.cart.manifests.by_sha(canary.manifest_sha).rollout
    next_step(canary, rules, shop.releases, by="watch", at=shop.cart.now, reason="enough shoppers")
    shadow(CART, 1, shop.learn(), "ann", shop.ports, shop.cart.now)
    after = roll_back(seen, None, shop.releases, by="eve", at=shop.cart.now, reason="complaints")
    assert (after.canary, len(after.shadow)) == (None, 1)


def test_any_revision_can_be_taken_up_again(shop):
    one, two = shop.learn(), shop.learn()
    shop.live(1, one)
    shop.live(1, two)
    shop.approved(1, shop.learn())
    after = shop.back(to=1)
    assert (after.live, after.canary, after.restores) == (Stand(version=1), None, 1)
    assert shop.releases.promotion(3).step is Step.ROLLED_BACK
    with pytest.raises(NotFound, match="cart revision 99"):
        shop.back(to=99)
    with pytest.raises(NotFound, match="cart revision 0"):
        shop.back(to=0)


def test_what_was_taken_back_goes_live_again_by_a_promotion_alone(shop):
    first = shop.learn()
    shop.live(1, first)
    good = shop.rollout.revision
    shop.live(1, shop.learn())
    bad = shop.rollout.revision
    shop.back()
    assert shop.rollout.live == Stand(version=1, model=first)
    with pytest.raises(WrongStep, match=f"revision {bad} of cart was taken back since; propose it again"):
        shop.back(to=bad)
    assert shop.back(to=1).live == Stand(version=1)
    with pytest.raises(WrongStep, match="was taken back since"):
        shop.back(to=good)


def test_a_shadow_scores_and_becomes_a_canary_without_scoring_twice(shop):
    model = shop.learn()
    other = shop.candidate(MANIFEST + GATED)
    assert shadow(CART, other, None, "ann", shop.ports, shop.cart.now).shadow == (Stand(version=other),)
    assert shop.stages() == [Stage.LIVE, Stage.SHADOW]
    shadow(CART, 1, model, "ann", shop.ports, shop.cart.now)
    with pytest.raises(WrongStep, match="version 2 with the cold start is shadow on cart already"):
        shadow(CART, other, None, "ann", shop.ports, shop.cart.now)
    with pytest.raises(WrongStep, match="version 1 with the cold start is live on cart already"):
        shadow(CART, 1, None, "ann", shop.ports, shop.cart.now)
    shop.approved(1, model)
    assert shop.rollout.shadow == (Stand(version=other),)
    assert leave_shadow(CART, other, "ann", shop.releases, shop.cart.now).shadow == ()
    assert shop.stages() == [Stage.LIVE, Stage.RETIRED]
    with pytest.raises(WrongStep, match="version 2 does not shadow"):
        leave_shadow(CART, other, "ann", shop.releases, shop.cart.now)
    assert shop.trail()[-5:] == [
        "shadow put",
        "shadow put",
        "promotion propose",
        "promotion approve",
        "shadow take out",
    ]


def test_what_a_rollout_names_or_named_keeps_its_bytes(begin_cart):
    text = MANIFEST + GATED + COLD + ROLLOUT
    shop = Shop(
        begin_cart(text=text.replace("publish_", "checkpoints = { keep_last = 10, hourly_days = 0 }\npublish_"))
    )
    one, two, three = shop.learn(), shop.learn(), shop.learn()
    shop.live(1, one)
    shop.live(1, two)
    shop.proposed(1, three)
    idle = shop.learn()
    for _ in range(15):
        shop.learn(outcomes=1)
    registry = shop.cart.store.registry
    assert thin(CART, registry, shop.releases, shop.cart.manifests, shop.cart.now) > 0
    kept = registry.kept(CART)
    assert {one, two, three} <= kept
    assert idle not in kept


def test_a_gated_policys_learner_publishes_what_nobody_serves_until_it_is_promoted(shop):
    heads = [shop.learn() for _ in range(3)]
    shop.cart.serving.refresh()
    registry = shop.cart.store.registry
    assert registry.head(CART, 1).lineage.version == heads[-1]
    assert [served.model for served in shop.cart.serving.policies] == [None]
    assert shop.cart.decide().model_version is None
    shop.live(1, heads[1])
    shop.learn()
    shop.cart.serving.refresh()
    assert shop.cart.serving.route(shop.cart.request()).model.lineage.version == heads[1]
    assert registry.head(CART, 1).lineage.version > heads[-1]
    shop.back()
    shop.cart.serving.refresh()
    assert shop.cart.serving.route(shop.cart.request()).model is None
