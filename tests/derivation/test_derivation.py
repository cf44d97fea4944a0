"""Every model is a pure function of its lineage: for every explorer, on both stores, byte for byte."""

import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from uuid import UUID

import msgspec
import pytest

from cxi_bandit.domain.errors import LearningConflict
from cxi_bandit.domain.model import Branch
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit, audit_models
from cxi_bandit.engine.audit_outcomes import audit_outcomes
from cxi_bandit.engine.install import install
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.rebuild import rebuild
from cxi_bandit.store.memory import MemoryStore

EXPLORERS = ["squarecb", "epsilon_greedy", "softmax", "cover", "bag", "regcb", "rnd"]


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest):
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("postgres_store")


def verdicts(life) -> list[AuditVerdict]:
    models = life.store.registry.models(life.version.policy)
    parts = (life.store.registry, life.store.outcomes, life.manifests, life.room)
    return [finding.verdict for finding in audit_models(models, *parts)]


def audit_decisions(life) -> Counter:
    audit = DecisionAudit(life.store.registry, life.store.releases, life.manifests, life.store.keyring, life.room)
    logged = life.store.decisions.find({decision.decision_id for decision in life.decided})
    return Counter(audit.audit(decision).verdict for decision in logged.values())


@pytest.mark.parametrize("explorer", EXPLORERS)
def test_every_model_and_every_decision_is_derived_again_to_the_bit(store, explorer, begin_life: Callable):
    life = begin_life(store, explorer)
    life.live()
    models = store.registry.models(life.version.policy)
    assert len(models) > 4
    assert models[-1].lineage.learned_total == len(life.decided) == 180
    assert len({model.sha256 for model in models}) == len(models), "every segment changed the model"
    assert set(verdicts(life)) == {AuditVerdict.IDENTICAL}
    assert audit_decisions(life) == {AuditVerdict.IDENTICAL: 180}
    assert any(decision.model_version is not None for decision in life.decided), "the model did choose"
    settled = audit_outcomes(life.decided, store.ledger, store.outcomes, life.manifests)
    assert Counter(finding.verdict for finding in settled).keys() == {AuditVerdict.IDENTICAL}


class Mortal:
    """A registry whose every other publication dies before it commits."""

    def __init__(self, registry):
        self._registry = registry
        self._calls = count()

    def __getattr__(self, name):
        return getattr(self._registry, name)

    def publish(self, *args, **kwargs):
        if next(self._calls) % 2 == 0:
            raise LearningConflict("killed before the commit")
        self._registry.publish(*args, **kwargs)


def reviving(step):
    def again(*args):
        while True:
            with suppress(LearningConflict):
                return step(*args)

    return again


@pytest.mark.parametrize("explorer", EXPLORERS)
def test_a_learner_that_dies_before_its_commit_leaves_no_trace(store, explorer, begin_life: Callable):
    calm, killed = begin_life(MemoryStore(), explorer), begin_life(store, explorer)
    killed.store.keyring = calm.store.keyring
    killed.store.registry = Mortal(store.registry)
    killed.learner = Learner(killed.store.registry, store.outcomes, killed.manifests, killed.room)
    killed.learner.step = reviving(killed.learner.step)
    for life in (calm, killed):
        # The same ids, keys and rewards on both: only the deaths differ.
        life.mint.mint = iter_ids()
        life.live(rounds=3)
    shas = [[model.sha256 for model in life.store.registry.models(life.version.policy)] for life in (calm, killed)]
    assert shas[0] == shas[1]


def iter_ids():
    counter = iter(range(1, 10_000))
    return lambda now: UUID(int=int(now.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | next(counter))


def test_late_corrected_and_retracted_rewards_are_learned_only_by_a_rebuild(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live(rounds=3)
    head = store.registry.head(life.version.policy, 1)
    before = store.registry.model_bytes(life.version.policy, head.lineage.version)
    purchases = [
        decision for decision in life.decided if store.outcomes.revisions(decision.decision_id)[-1].revision == 0
    ]
    life.record([life.reward(decision, "purchase", 1.0) for decision in purchases[:40]])
    life.pass_on(10)
    revised = [decision for decision in purchases[:40] if len(store.outcomes.revisions(decision.decision_id)) > 1]
    assert revised, "late rewards append revisions"
    assert set(verdicts(life)) == {AuditVerdict.IDENTICAL}, "what was learned stays derivable at its own cut"
    head = store.registry.head(life.version.policy, 1)
    made = list(rebuild(life.version, life.now, store.registry, store.outcomes, life.manifests, life.room))
    assert made[-1].lineage.branch is Branch.REBUILD
    assert store.registry.head(life.version.policy, 1) == made[-1]
    assert made[-1].lineage.up_to == head.lineage.up_to
    assert store.registry.model_bytes(life.version.policy, made[-1].lineage.version) != before
    assert set(verdicts(life)) == {AuditVerdict.IDENTICAL}


def test_an_erasure_makes_what_learned_it_unverifiable_and_a_rebuild_forgets_it(store, begin_life: Callable):
    life = begin_life(store, "bag")
    life.live(rounds=4)
    gone = life.decided[50]
    learned_by = [
        model.lineage.version
        for model in store.registry.models(life.version.policy)
        if model.lineage.after < store.outcomes.revisions(gone.decision_id)[0].position <= model.lineage.up_to
    ]
    store.outcomes.erase(life.version.policy, [gone.decision_id], life.now)
    models = store.registry.models(life.version.policy)
    found = {model.lineage.version: verdict for model, verdict in zip(models, verdicts(life), strict=True)}
    assert [version for version, verdict in found.items() if verdict is AuditVerdict.ERASED] == learned_by
    assert {verdict for version, verdict in found.items() if version not in learned_by} == {AuditVerdict.IDENTICAL}
    made = list(rebuild(life.version, life.now, store.registry, store.outcomes, life.manifests, life.room))
    assert made[-1].lineage.learned_total == models[-1].lineage.learned_total - 1
    last = dict(
        zip([m.lineage.version for m in store.registry.models(life.version.policy)], verdicts(life), strict=True)
    )
    assert all(last[model.lineage.version] is AuditVerdict.IDENTICAL for model in made)
    life.live(rounds=1)
    assert verdicts(life)[-1] is AuditVerdict.IDENTICAL, "learning goes on from the rebuilt head"


def test_a_changed_byte_is_found(begin_life: Callable):
    store = MemoryStore()
    life = begin_life(store, "squarecb")
    life.live(rounds=3)
    data = store.registry._bytes[life.version.policy, 2]
    store.registry._bytes[life.version.policy, 2] = data[:-1] + bytes([data[-1] ^ 1])
    assert verdicts(life)[1] is AuditVerdict.DIFFERENT


def test_an_erased_late_revision_does_not_cloud_the_models_that_never_learned_it(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live(rounds=2)
    gone = life.decided[3]
    life.record([life.reward(gone, "purchase", 1.0), life.reward(gone, "complaint", 1.0)])
    life.live(rounds=2)
    assert len(store.outcomes.revisions(gone.decision_id)) > 1
    first = store.outcomes.revisions(gone.decision_id)[0].position
    store.outcomes.erase(life.version.policy, [gone.decision_id], life.now)
    models = store.registry.models(life.version.policy)
    clouded = [m.lineage for m, v in zip(models, verdicts(life), strict=True) if v is AuditVerdict.ERASED]
    assert [lineage.after < first <= lineage.up_to for lineage in clouded] == [True]


def test_a_changed_outcome_is_found(begin_life: Callable):
    store = MemoryStore()
    life = begin_life(store, "squarecb")
    life.live(rounds=2)
    victim = life.decided[7].decision_id
    honest = store.outcomes.by_decision[victim][0]
    forged = msgspec.structs.replace(honest.settlement, reward=honest.settlement.reward + 0.125)
    store.outcomes.by_decision[victim][0] = msgspec.structs.replace(honest, settlement=forged)
    found = audit_outcomes(life.decided, store.ledger, store.outcomes, life.manifests)
    assert [f.revision.decision_id for f in found if f.verdict is AuditVerdict.DIFFERENT] == [victim]


def test_rows_of_another_manifest_are_not_learned(begin_life: Callable):
    store = MemoryStore()
    life = begin_life(store, "squarecb")
    life.live(rounds=2)
    text = store.registry.manifest_text(life.version.manifest_sha)
    install(store.registry, [("small.toml", text.replace("cart_value", "basket_value"))], life.now, "test")
    candidate = store.registry.versions()[1]
    made = life.learner.step(candidate, life.now)
    assert made is not None
    assert (made.lineage.learned, made.lineage.up_to) == (0, 40)
    assert set(verdicts(life)) == {AuditVerdict.IDENTICAL}


def test_bag_draws_go_on_over_segment_boundaries_and_never_repeat(begin_life: Callable):
    life = begin_life(MemoryStore(), "bag")
    life.live(rounds=2)
    rows = life.store.outcomes.segment(life.version.policy, 0, 1, life.store.outcomes.ledger_cut()).rows
    manifest = life.manifests.by_sha(life.version.manifest_sha)
    once = life.room.learn(manifest, life.room.start(manifest), rows)
    seeds = set()
    for _ in range(6):
        # VW keeps where its random numbers have got to among the flags at the head of the model.
        seeds.add(re.search(rb"--random_seed (\d+)", once)[1])
        once = life.room.learn(manifest, once, rows)
    assert len(seeds) == 6
