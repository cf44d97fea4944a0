"""A new version's first model, learned from the log of others: the same bytes each time, and derived again by audit."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.model import Branch
from cxi_bandit.engine.audit import AuditVerdict, audit_models
from cxi_bandit.engine.curriculum import Curriculum
from cxi_bandit.engine.fingerprint import sha256
from cxi_bandit.engine.install import install
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.rebuild import rebuild
from cxi_bandit.engine.warm import teachers, warm
from cxi_bandit.policy.settlement import settle
from cxi_bandit.store.memory import MemoryStore
from tests.derivation.conftest import EXPLORERS, MANIFEST


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest):
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("postgres_store")


def text(explorer: str = "squarecb", *changes: tuple[str, str]) -> str:
    made = MANIFEST.format(explorer=EXPLORERS[explorer], learning="")
    for old, new in changes:
        assert old in made
        made = made.replace(old, new)
    return made


def candidate(life, *changes: tuple[str, str], explorer: str = "squarecb"):
    (version,) = install(life.store.registry, [("small.toml", text(explorer, *changes))], life.now, "test")
    return version


def warmed(life, version) -> list:
    parts = (life.store.registry, life.store.outcomes, life.manifests, life.room)
    return list(warm(version, life.now, *parts))


def verdicts(life) -> set[AuditVerdict]:
    models = life.store.registry.models(life.version.policy)
    parts = (life.store.registry, life.store.outcomes, life.manifests, life.room)
    return {finding.verdict for finding in audit_models(models, *parts)}


KINDER = ("weight = -0.5", "weight = -0.1")
BOLDER = ("outcomes = 20", "outcomes = 25")


def test_with_the_same_reward_the_rows_are_learned_as_they_stand(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live()
    version = candidate(life, BOLDER)
    models = warmed(life, version)
    assert {model.lineage.branch for model in models} == {Branch.WARM}
    assert {model.lineage.taught_from for model in models} == {(life.version.manifest_sha,)}
    assert models[-1].lineage.learned_total == len(life.decided)
    assert store.registry.head(life.version.policy, version.version) == models[-1]
    manifest, data = life.manifests.by_sha(version.manifest_sha), life.room.start(life.manifest)
    for model in models:
        lineage = model.lineage
        cuts = (lineage.after, lineage.up_to, lineage.ledger_cut, lineage.unlearn_cut)
        # As they stand: reward, catalogue and features are the same, so nothing is settled otherwise.
        data = life.room.learn(manifest, data, store.outcomes.segment(lineage.policy, *cuts).rows)
    assert sha256(data) == models[-1].sha256
    assert verdicts(life) == {AuditVerdict.IDENTICAL}


@pytest.mark.parametrize("explorer", ["cover", "bag", "rnd", "softmax"])
def test_another_reward_and_explorer_are_derived_again_to_the_bit(store, explorer: str, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live()
    version = candidate(life, KINDER, explorer=explorer)
    models = warmed(life, version)
    assert len(models) > 2
    assert verdicts(life) == {AuditVerdict.IDENTICAL}
    store.registry.thin(life.version.policy, [model.lineage.version for model in models])
    assert verdicts(life) == {AuditVerdict.IDENTICAL}, "thinned ones too"


def test_rewards_are_those_of_the_new_manifest(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live()
    version = candidate(life, KINDER, ("min = -0.5", "min = -1.0"), ("cost = 0.2", "cost = 0.4"))
    lineage = warmed(life, version)[0].lineage
    manifest = life.manifests.by_sha(version.manifest_sha)
    cuts = (lineage.after, lineage.up_to, lineage.ledger_cut, lineage.unlearn_cut)
    segment = store.outcomes.segment(lineage.policy, *cuts, heard=True)
    lessons = Curriculum.of(lineage, manifest).lessons(segment)
    assert len(lessons) == lineage.learned
    decided = store.decisions.find({row.decision_id for row in lessons})
    heard = store.ledger.known_at(decided, lineage.ledger_cut)
    for lesson in lessons:
        row = decided[lesson.decision_id]
        window = (row.decided_at, row.closes_at)
        assert lesson.reward == settle(manifest, row.intervention, window, heard.get(row.decision_id, [])).reward
        assert lesson.propensity == row.propensity
        assert lesson.situation == row.situation
    before = {row.decision_id: row.reward for row in segment.rows}
    assert any(before[lesson.decision_id] != lesson.reward for lesson in lessons)


def test_it_goes_on_from_where_it_was_and_then_learns_its_own(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live(rounds=3)
    version = candidate(life, KINDER)
    first = warmed(life, version)
    assert warmed(life, version) == [], "nothing new in the log"
    life.live(rounds=2)
    second = warmed(life, version)
    assert second[0].lineage.parent == first[-1].lineage.version
    assert second[0].lineage.after == first[-1].lineage.up_to
    assert second[-1].lineage.learned_total == len(life.decided)
    life.live(rounds=1)
    own = Learner(store.registry, store.outcomes, life.manifests, life.room).step(version, life.now)
    assert own is not None
    assert (own.lineage.branch, own.lineage.taught_from, own.lineage.learned) == (Branch.MAIN, (), 0)
    with pytest.raises(InvalidInput, match="rows of its own"):
        warmed(life, version)
    assert verdicts(life) == {AuditVerdict.IDENTICAL}


def test_a_rebuild_learns_late_rewards_by_the_new_rules_and_keeps_the_teachers(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live()
    version = candidate(life, KINDER)
    before = warmed(life, version)[-1]
    late = [life.reward(decision, "purchase", 1.0) for decision in life.decided[10:30]]
    life.record(late)
    life.pass_on(90)
    made = list(rebuild(version, life.now, store.registry, store.outcomes, life.manifests, life.room))
    assert made[-1].sha256 != before.sha256
    assert {model.lineage.branch for model in made} == {Branch.REBUILD}
    assert {model.lineage.taught_from for model in made} == {(life.version.manifest_sha,)}
    assert made[-1].lineage.learned_total == before.lineage.learned_total
    assert verdicts(life) == {AuditVerdict.IDENTICAL}


def test_an_erased_row_is_said_to_be_missing(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live(rounds=3)
    version = candidate(life, KINDER)
    warmed(life, version)
    store.outcomes.erase(life.version.policy, [life.decided[3].decision_id], life.now + timedelta(seconds=1))
    assert AuditVerdict.ERASED in verdicts(life)
    assert AuditVerdict.DIFFERENT not in verdicts(life)


def test_a_smaller_catalogue_passes_over_what_it_does_not_know(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live(rounds=3)
    gone = '[[interventions]]\nid = "retry_coupon"\nfeatures = { generosity = 0.2 }\ndefects = ["coupon_failure"]\n'
    version = candidate(life, (gone, ""))
    models = warmed(life, version)
    taught = sum(decision.situation.defect.type == "price_jump" for decision in life.decided)
    assert models[-1].lineage.learned_total == taught > 0
    assert verdicts(life) == {AuditVerdict.IDENTICAL}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("max = 500.0", "max = 600.0"), "context.features.cart_value: it looks otherwise"),
        (('[context.features.returning]\ntype = "flag"\n', ""), "context.features.returning: only one"),
        (("generosity = 0.9", "generosity = 0.8"), "'discount' has other features"),
        (("horizon_seconds = 60.0", "horizon_seconds = 61.0"), "reward.horizon_seconds"),
        (
            ("horizon_seconds = 60.0", 'horizon_seconds = 60.0\ncounts_when = "activated"\ndiscards_unseen = true'),
            "reward.discards_unseen",
        ),
    ],
)
def test_who_cannot_teach_says_why(change: tuple[str, str], reason: str, begin_life: Callable):
    life = begin_life(MemoryStore(), "squarecb")
    version = candidate(life, change)
    found = teachers(version, life.store.registry, life.manifests)
    assert found.taught_from == ()
    (why,) = found.refused[1]
    assert reason in why
    with pytest.raises(InvalidInput, match="no other version can teach it"):
        warmed(life, version)
