"""What the port of releases promises, held against every implementation."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from cxi_bandit.domain.decision import HOLD, Stage
from cxi_bandit.domain.errors import NotFound, RolloutConflict
from cxi_bandit.domain.identifiers import InterventionId, ManifestSha, ModelVersion, PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.promotion import Approval, Forecast, Promotion, Step
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.rollout import Canary, Previous, Rollout, Split, Stand
from cxi_bandit.store.postgres.registry import MODELS_CHANNEL

CART, SEARCH = PolicyName("cart"), PolicyName("search")
NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
RIVALS = 8


def entry(action: str = "test", policy: PolicyName | None = CART) -> AuditEntry:
    return AuditEntry(at=NOON, actor="ann", action=action, policy=policy, detail={"why": "größer"})


def a_rollout(revision: int = 1, policy: PolicyName = CART, **changes: Any) -> Rollout:
    fields: dict[str, Any] = {
        "policy": policy,
        "revision": revision,
        "live": Stand(version=1, follows_head=True),
        "made_at": NOON,
        "made_by": "ann",
        "reason": "a test",
    }
    return Rollout(**{**fields, **changes})


def a_promotion(policy: PolicyName = CART, **changes: Any) -> Promotion:
    fields: dict[str, Any] = {
        "policy": policy,
        "version": 2,
        "manifest_sha": ManifestSha("0" * 64),
        "model": ModelVersion(17),
        "evaluation_id": 3,
        "incumbent": "cart version 1, model 9",
        "proposed_by": "ann",
        "proposed_at": NOON,
        "forecast": Forecast(estimate="dr", candidate=0.1 + 0.2, interval=(0.0, 1 / 7)),
        "defects": ("price_jump",),
        "changed_at": NOON,
    }
    return Promotion(**{**fields, **changes})


def an_override(**changes: Any) -> Override:
    fields: dict[str, Any] = {
        "intervention": InterventionId("discount"),
        "author": "ann",
        "reason": "größer",
        "made_at": NOON,
        "expires_at": NOON + timedelta(days=1),
        "policy": CART,
        "segment": {"device": "mobile", "cart_value": 0.1 + 0.2, "member": True},
    }
    return Override(**{**fields, **changes})


def install(store: Any, *stages: Stage) -> None:
    for number, stage in enumerate(stages, start=1):
        sha = store.registry.put_manifest(f"manifest {number}")
        version = PolicyVersion(policy=CART, version=number, manifest_sha=sha, stage=stage, created_at=NOON)
        store.registry.install(version, entry("install"))


def actions(store: Any) -> list[str]:
    return [line.action for line in store.registry.trail()]


def fates(call: Any) -> list[Any]:
    """What so many rivals get who call at once; a conflict for those who came too late."""

    def tried(number: int) -> Any:
        try:
            return call(number)
        except RolloutConflict as conflict:
            return conflict

    with ThreadPoolExecutor(RIVALS) as threads:
        return list(threads.map(tried, range(RIVALS)))


def test_revisions_are_dense_come_back_as_they_were_and_the_newest_answers(store):
    stand = Stand(version=2, model=ModelVersion(17))
    whole = a_rollout(
        2,
        by_defect={"price_jump": stand},
        hold=Split(share=0.1 + 0.2, salt="cart/hold"),
        hold_rotation_days=1 / 3,
        previous=Previous(stand=Stand(version=1), split=Split(share=0.05, salt="cart/previous/1"), since=NOON),
        canary=Canary(stand=stand, split=Split(share=0.1, salt="cart/canary/7"), promotion_id=7, since=NOON),
        canary_defects=("price_jump",),
        shadow=(Stand(version=3),),
        apprentice=True,
        restores=1,
    )
    with pytest.raises(NotFound, match="roll-out of policy 'cart'"):
        store.releases.rollout(CART)
    assert (store.releases.rollouts(), store.releases.history(CART)) == ([], [])
    first, other = a_rollout(), a_rollout(policy=SEARCH)
    for each in (first, other, whole):
        store.releases.roll_out(each, entry("roll out", each.policy))
    assert store.releases.rollout(CART) == whole
    assert store.releases.rollouts() == [whole, other]
    assert store.releases.history(CART) == [first, whole]
    assert actions(store) == ["roll out"] * 3


@pytest.mark.parametrize("revision", [1, 3])
def test_a_revision_that_is_not_the_next_one_leaves_nothing_behind(store, revision):
    install(store, Stage.LIVE, Stage.CANDIDATE)
    first = a_rollout()
    store.releases.roll_out(first, entry("first"))
    seen = store.releases.propose(a_promotion(), entry("propose"))
    canary = msgspec.structs.replace(seen, step=Step.CANARY)
    with pytest.raises(RolloutConflict):
        store.releases.roll_out(a_rollout(revision, live=Stand(version=2)), entry("rival"), canary, seen)
    assert store.releases.history(CART) == [first]
    assert store.releases.promotion(seen.promotion_id) == seen
    assert [version.stage for version in store.registry.versions(CART)] == [Stage.LIVE, Stage.CANDIDATE]
    assert "rival" not in actions(store)


def test_a_roll_out_with_a_promotion_changed_meanwhile_leaves_nothing_behind(store):
    install(store, Stage.LIVE, Stage.CANDIDATE)
    store.releases.roll_out(a_rollout(), entry("first"))
    seen = store.releases.propose(a_promotion(), entry("propose"))
    store.releases.change(msgspec.structs.replace(seen, step=Step.REFUSED), seen, entry("refuse"))
    canary = msgspec.structs.replace(seen, step=Step.CANARY)
    with pytest.raises(RolloutConflict):
        store.releases.roll_out(a_rollout(2, live=Stand(version=2)), entry("rival"), canary, seen)
    assert store.releases.rollout(CART).revision == 1
    assert [version.stage for version in store.registry.versions(CART)] == [Stage.LIVE, Stage.CANDIDATE]
    assert "rival" not in actions(store)


def test_a_roll_out_puts_versions_into_their_stages_and_retires_whom_it_leaves_out(store):
    install(store, Stage.LIVE, Stage.CANDIDATE, Stage.CANDIDATE, Stage.CANDIDATE)

    def stages() -> list[Stage]:
        return [version.stage for version in store.registry.versions(CART)]

    canary = Canary(stand=Stand(version=2), split=Split(share=0.1, salt="s"), promotion_id=1, since=NOON)
    store.releases.roll_out(a_rollout(1, canary=canary, shadow=(Stand(version=3),)), entry())
    assert stages() == [Stage.LIVE, Stage.CANARY, Stage.SHADOW, Stage.CANDIDATE]
    previous = Previous(stand=Stand(version=1), split=Split(share=0.1, salt="p"), since=NOON)
    store.releases.roll_out(a_rollout(2, live=Stand(version=2), previous=previous), entry())
    assert stages() == [Stage.RETIRED, Stage.LIVE, Stage.RETIRED, Stage.CANDIDATE]
    store.releases.roll_out(a_rollout(3, by_defect={"price_jump": Stand(version=4)}), entry())
    assert stages() == [Stage.LIVE, Stage.RETIRED, Stage.RETIRED, Stage.LIVE]


def test_of_rivals_one_rolls_out(store):
    store.releases.roll_out(a_rollout(), entry("first"))
    answers = fates(lambda number: store.releases.roll_out(a_rollout(2, reason=f"rival {number}"), entry("rival")))
    assert sum(answer is None for answer in answers) == 1
    assert len(store.releases.history(CART)) == 2
    assert actions(store).count("rival") == 1


def test_of_rivals_one_changes_a_promotion(store):
    seen = store.releases.propose(a_promotion(), entry("propose"))

    def refuse(number: int) -> str:
        reason = f"rival {number}"
        store.releases.change(msgspec.structs.replace(seen, step=Step.REFUSED, reason=reason), seen, entry("refuse"))
        return reason

    [reason] = [answer for answer in fates(refuse) if isinstance(answer, str)]
    assert store.releases.promotion(seen.promotion_id).reason == reason
    assert actions(store).count("refuse") == 1


def test_promotions_get_ids_and_come_back_as_they_were(store):
    with pytest.raises(NotFound, match="promotion '1'"):
        store.releases.promotion(1)
    one = store.releases.propose(a_promotion(), entry("propose"))
    two = store.releases.propose(a_promotion(SEARCH, model=None, forecast=None, defects=()), entry("propose", SEARCH))
    assert two.promotion_id > one.promotion_id > 0
    assert one == a_promotion(promotion_id=one.promotion_id)
    assert store.releases.promotions() == [one, two]
    assert store.releases.promotions(CART) == [one]
    changed = msgspec.structs.replace(one, approvals=(Approval(by="bob", at=NOON),), step=Step.CANARY, canary_step=0)
    store.releases.change(changed, one, entry("approve"))
    assert store.releases.promotion(one.promotion_id) == changed
    with pytest.raises(RolloutConflict):
        store.releases.change(one, one, entry("approve"))
    assert [line.detail.get("promotion") for line in store.registry.trail()] == [
        str(one.promotion_id),
        str(two.promotion_id),
        None,
    ]


def test_many_propose_at_once_and_nobody_gets_anothers_id(store):
    made = fates(lambda number: store.releases.propose(a_promotion(reason=f"{number}"), entry("propose")))
    assert len({promotion.promotion_id for promotion in made}) == RIVALS
    assert sorted(store.releases.promotions(), key=lambda one: one.reason) == made


def test_overrides_stand_until_they_are_lifted_once(store):
    pinned = store.releases.override(an_override(), entry("pin"))
    halted = store.releases.override(
        an_override(intervention=HOLD, expires_at=None, policy=None, segment={}), entry("halt", None)
    )
    assert halted.override_id > pinned.override_id > 0
    assert store.releases.overrides() == [pinned, halted]
    lifted = msgspec.structs.replace(pinned, lifted_at=NOON, lifted_by="eve")
    assert fates(lambda _: store.releases.lift(lifted, entry("lift"))).count(True) == 1
    assert store.releases.overrides() == [halted]
    assert store.releases.overrides(standing=False) == [lifted, halted]
    assert not store.releases.lift(msgspec.structs.replace(lifted, override_id=99), entry("lift"))
    assert actions(store) == ["pin", "halt", "lift"]
    assert store.registry.trail()[0].detail == {"override": str(pinned.override_id), "why": "größer"}


def test_a_watch_sits_one_sitting_after_the_other(store):
    releases = store.releases
    assert releases.watch(CART, "canary 1") is None
    with pytest.raises(RolloutConflict):
        releases.keep_watch(CART, "canary 1", 2, "{}")
    text = '{"log_e":0.30000000000000004,"über":[1e-300]}'
    releases.keep_watch(CART, "canary 1", 1, text)
    assert releases.watch(CART, "canary 1") == (1, text)
    assert releases.watch(SEARCH, "canary 1") is None
    for sitting in (1, 3):
        with pytest.raises(RolloutConflict):
            releases.keep_watch(CART, "canary 1", sitting, "{}")
    rivals = fates(lambda number: releases.keep_watch(CART, "canary 1", 2, f'{{"rival":{number}}}'))
    [winner] = [number for number, answer in enumerate(rivals) if answer is None]
    assert releases.watch(CART, "canary 1") == (2, f'{{"rival":{winner}}}')


def test_workers_hear_of_roll_outs_and_overrides_and_of_nothing_that_failed(postgres_store, postgres_dsn):
    releases = postgres_store.releases
    with psycopg.connect(postgres_dsn, autocommit=True) as listener:
        listener.execute(f"LISTEN {MODELS_CHANNEL}")
        releases.roll_out(a_rollout(), entry())
        with pytest.raises(RolloutConflict):
            releases.roll_out(a_rollout(), entry())
        made = releases.override(an_override(), entry())
        releases.lift(msgspec.structs.replace(made, lifted_at=NOON, lifted_by="eve"), entry())
        releases.roll_out(a_rollout(2), entry())
        heard = [note.payload for note in listener.notifies(timeout=5, stop_after=4)]
    assert heard == ["cart", "override", "override", "cart"]
