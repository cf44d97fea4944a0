"""A rebuild from the nearest checkpoint leaves the bytes of one from the start, for every explorer, on both stores."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cxi_bandit.domain.errors import LearningConflict
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.domain.model import Branch, Model
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit, audit_models
from cxi_bandit.engine.rebuild import plan_rebuild, rebuild
from cxi_bandit.engine.work_off import ask_when_due, work_off
from cxi_bandit.store.memory import MemoryStore

EXPLORERS = ["squarecb", "epsilon_greedy", "softmax", "cover", "bag", "regcb", "rnd"]


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest):
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("postgres_store")


def verdicts(life) -> set[AuditVerdict]:
    models = life.store.registry.models(life.version.policy)
    parts = (life.store.registry, life.store.outcomes, life.manifests, life.room)
    return {finding.verdict for finding in audit_models(models, *parts)}


def rebuilt(life, *, from_start: bool = False) -> list[Model]:
    parts = (life.store.registry, life.store.outcomes, life.manifests, life.room)
    return list(rebuild(life.version, life.now, *parts, from_start=from_start))


def late_reward(life, index: int) -> None:
    """A purchase of the index-th decision that was reported when its window had long closed."""
    life.record([life.reward(life.decided[index], "purchase", 1.0), life.reward(life.decided[index], "complaint", 1.0)])
    life.pass_on(10)


def head(life) -> Model:
    return life.store.registry.head(life.version.policy, 1)


def first_position(life, index: int) -> int:
    return life.store.outcomes.revisions(life.decided[index].decision_id)[0].position


@pytest.mark.parametrize("explorer", EXPLORERS)
def test_a_rebuild_from_the_nearest_checkpoint_equals_one_from_the_start_and_outlives_thinning(
    store, explorer, begin_life: Callable
):
    life = begin_life(store, explorer)
    life.live(rounds=3, size=14)
    late_reward(life, 24)
    before, position, policy = head(life), first_position(life, 24), life.version.policy
    made = rebuilt(life)
    nearest = store.registry.model(policy, made[0].lineage.parent)
    assert nearest.lineage.branch is Branch.MAIN
    assert nearest.lineage.up_to < position <= made[0].lineage.up_to, "the last one before what changed"
    assert made[-1] == head(life)
    assert made[-1].sha256 != before.sha256
    again = rebuilt(life, from_start=True)
    assert len(again) > len(made)
    assert [model.sha256 for model in again[-len(made) :]] == [model.sha256 for model in made]
    assert again[-len(made) - 1].sha256 == nearest.sha256
    assert verdicts(life) == {AuditVerdict.IDENTICAL}

    gone = store.registry.thin(policy, [model.lineage.version for model in store.registry.models(policy)])
    assert gone == len(store.registry.models(policy)) - 2, "all but the start and the head"
    assert verdicts(life) == {AuditVerdict.IDENTICAL}
    audit = DecisionAudit(store.registry, store.releases, life.manifests, store.keyring, life.room, store.outcomes)
    assert {audit.audit(decision).verdict for decision in life.decided} == {AuditVerdict.IDENTICAL}


def test_without_the_log_a_decision_of_a_thinned_model_cannot_be_executed_again(begin_life: Callable):
    life = begin_life(MemoryStore(), "squarecb")
    life.live(rounds=3, size=14)
    registry, policy = life.store.registry, life.version.policy
    registry.thin(policy, [model.lineage.version for model in registry.models(policy)])
    audit = DecisionAudit(registry, life.store.releases, life.manifests, life.store.keyring, life.room)
    assert AuditVerdict.THINNED in {audit.audit(decision).verdict for decision in life.decided}


def test_where_nothing_changed_nothing_is_rebuilt(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.live(rounds=2, size=14)
    # What came after the last segment was closed is no change of what was learned.
    rebuilt(life)
    before = head(life)
    assert rebuilt(life) == []
    assert head(life) == before


def test_learning_goes_on_from_a_rebuilt_head_and_the_next_rebuild_begins_there(store, begin_life: Callable):
    life = begin_life(store, "bag")
    life.live(rounds=3, size=14)
    late_reward(life, 10)
    first = rebuilt(life)
    life.live(rounds=2, size=14)
    late_reward(life, 48)
    plan = plan_rebuild(life.version, store.registry, store.outcomes, life.manifest)
    assert plan.checkpoint.lineage.version >= first[-1].lineage.version
    made = rebuilt(life)
    assert made
    assert [model.sha256 for model in rebuilt(life, from_start=True)][-len(made) :] == [m.sha256 for m in made]
    assert verdicts(life) == {AuditVerdict.IDENTICAL}


def test_a_checkpoint_that_was_thinned_or_damaged_is_passed_over(store, begin_life: Callable):
    life = begin_life(MemoryStore(), "cover")
    life.live(rounds=4, size=14)
    late_reward(life, 44)
    policy, registry = life.version.policy, life.store.registry
    nearest = plan_rebuild(life.version, registry, life.store.outcomes, life.manifest).checkpoint.lineage
    assert nearest.version > 3
    registry.thin(policy, [nearest.version])
    registry._bytes[policy, nearest.parent] = b"damaged"
    plan = plan_rebuild(life.version, registry, life.store.outcomes, life.manifest)
    assert plan.checkpoint.lineage.version < nearest.parent
    made = rebuilt(life)
    assert [model.sha256 for model in rebuilt(life, from_start=True)][-len(made) :] == [m.sha256 for m in made]


def test_an_erased_row_makes_the_thinned_models_after_it_unverifiable(begin_life: Callable):
    life = begin_life(MemoryStore(), "squarecb")
    life.live(rounds=4, size=14)
    policy, registry = life.version.policy, life.store.registry
    registry.thin(policy, [model.lineage.version for model in registry.models(policy)])
    position = first_position(life, 24)
    life.store.outcomes.erase(policy, [life.decided[24].decision_id], life.now)
    parts = (registry, life.store.outcomes, life.manifests, life.room)
    found = {f.model.lineage.up_to: f.verdict for f in audit_models(registry.models(policy), *parts)}
    for up_to, verdict in found.items():
        assert verdict is (AuditVerdict.IDENTICAL if up_to < position else AuditVerdict.ERASED)


@pytest.mark.parametrize("explorer", ["squarecb", "rnd"])
def test_what_is_unlearned_is_learned_by_no_model_that_heeds_it(store, explorer, begin_life: Callable):
    life = begin_life(store, explorer)
    life.live(rounds=2, size=14)
    decided = life.decide(14)
    life.log(decided)
    bad = [life.reward(decision, "purchase", 1.0) for decision in decided[5:12]]
    life.record([type(event)(**{**_fields(event), "source": Source("bad")}) for event in bad])
    life.pass_on(90)
    learned = head(life)
    before = {model.lineage.version: model.sha256 for model in store.registry.models(life.version.policy)}
    asked = Unlearning(
        policy=life.version.policy,
        source=Source("bad"),
        since=life.now - timedelta(days=1),
        until=life.now,
        asked_at=life.now,
    )
    assert store.outcomes.unlearned(asked) == 7
    store.outcomes.unlearn(asked)
    assert verdicts(life) == {AuditVerdict.IDENTICAL}, "what was learned stays derivable under its own cut"
    made = rebuilt(life)
    assert (made[-1].lineage.unlearn_cut, learned.lineage.unlearn_cut) == (1, 0)
    assert made[-1].lineage.learned_total == learned.lineage.learned_total - 7
    assert [m.sha256 for m in rebuilt(life, from_start=True)][-len(made) :] == [m.sha256 for m in made]
    # What the bad sender reports of decisions yet to close is heeded by the main line at once.
    more = life.decide(10)
    life.log(more)
    events = [life.reward(decision, "purchase", 1.0) for decision in more[:3]]
    life.record([type(event)(**{**_fields(event), "source": Source("bad")}) for event in events])
    store.outcomes.unlearn(type(asked)(**{**_fields(asked), "until": life.now + timedelta(days=1)}))
    total = head(life).lineage.learned_total
    life.pass_on(90)
    assert head(life).lineage.learned_total == total + 7
    assert verdicts(life) == {AuditVerdict.IDENTICAL}
    assert before.items() <= {m.lineage.version: m.sha256 for m in store.registry.models(life.version.policy)}.items()


def _fields(value) -> dict:
    return {field: getattr(value, field) for field in value.__struct_fields__}


class Overtaken:
    """A registry whose learner goes on whenever a rebuild is about to be adopted, for a while."""

    def __init__(self, registry, times: int, meanwhile: Callable[[], None]):
        self._registry = registry
        self._times = times
        self._meanwhile = meanwhile

    def __getattr__(self, name):
        return getattr(self._registry, name)

    def publish(self, model, data, *, moves_head_from, adopt=True):
        if adopt and self._times:
            self._times -= 1
            self._meanwhile()
        self._registry.publish(model, data, moves_head_from=moves_head_from, adopt=adopt)


@pytest.mark.parametrize("times", [1, 3])
def test_a_rebuild_catches_up_with_a_learner_that_went_on(store, times, begin_life: Callable):
    life = begin_life(store, "bag")
    life.live(rounds=2, size=14)
    late_reward(life, 16)

    def go_on() -> None:
        made = life.decide(10)
        life.log(made)
        life.record(life.rewards(made))
        life.pass_on(90)

    registry = Overtaken(store.registry, times, go_on)
    made = list(rebuild(life.version, life.now, registry, store.outcomes, life.manifests, life.room))
    assert made[-1] == head(life)
    assert made[-1].lineage.up_to == store.outcomes.head(life.version.policy)
    assert made[-1].lineage.learned_total == len(life.decided)
    assert len({(m.lineage.after, m.lineage.up_to) for m in made}) == len(made), "no segment twice on the branch"
    assert [m.sha256 for m in rebuilt(life, from_start=True)][-len(made) :] == [m.sha256 for m in made]
    assert verdicts(life) == {AuditVerdict.IDENTICAL}


def test_a_rebuild_whose_line_was_left_gives_up_and_the_next_one_begins_anew(begin_life: Callable):
    life = begin_life(MemoryStore(), "squarecb")
    life.live(rounds=2, size=14)
    late_reward(life, 16)
    registry = Overtaken(life.store.registry, 1, lambda: rebuilt(life))
    with pytest.raises(LearningConflict, match="left the line"):
        list(rebuild(life.version, life.now, registry, life.store.outcomes, life.manifests, life.room))
    assert rebuilt(life) == [], "the rival had learned the same"
    assert verdicts(life) == {AuditVerdict.IDENTICAL}


def worked_off(life) -> list[Model]:
    store = life.store
    parts = (life.rebuilds, store.registry, store.outcomes, life.manifests, life.room)
    return list(work_off(life.version.policy, *parts, clock=lambda: life.now))


def test_requests_are_answered_once_and_survive_whoever_answers(store, begin_life: Callable):
    life = begin_life(store, "squarecb")
    life.rebuilds = store.rebuilds
    life.live(rounds=3, size=14)
    store.outcomes.erase(life.version.policy, [life.decided[10].decision_id], life.now)
    store.rebuilds.ask(life.version.policy, "again", life.now)
    work = work_off(
        life.version.policy,
        store.rebuilds,
        store.registry,
        store.outcomes,
        life.manifests,
        life.room,
        clock=lambda: life.now,
    )
    next(work)
    work.close()  # killed after its first segment
    assert len(store.rebuilds.waiting()) == 2
    made = worked_off(life)
    assert made[-1].lineage.learned_total == len(life.decided) - 1
    assert store.rebuilds.waiting() == []
    assert {request.models for request in store.rebuilds.history(life.version.policy)} == {
        (head(life).lineage.version,)
    }
    store.rebuilds.ask(life.version.policy, "for nothing", life.now)
    assert worked_off(life) == []
    assert store.rebuilds.waiting() == []


def test_a_killed_worker_between_the_adoption_and_the_answer_learns_nothing_twice(begin_life: Callable):
    life = begin_life(MemoryStore(), "squarecb")
    life.rebuilds = rebuilds = MemoryStore().rebuilds
    life.live(rounds=2, size=14)
    late_reward(life, 16)
    rebuilds.ask(life.version.policy, "late", life.now)
    answer, rebuilds.answer = rebuilds.answer, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        worked_off(life)
    adopted = head(life)
    rebuilds.answer = answer
    assert worked_off(life) == []
    assert head(life) == adopted
    assert rebuilds.waiting() == []


def test_a_schedule_asks_when_its_hours_have_passed_and_not_before(begin_life: Callable):
    life = begin_life(MemoryStore(), "squarecb")
    rebuilds = MemoryStore().rebuilds
    assert not ask_when_due(life.version, rebuilds, life.manifests, life.now + timedelta(days=999)), "0 is never"
    scheduled = begin_life(MemoryStore(), "squarecb", learning="rebuild_hours = 24.0")
    begin = scheduled.version.created_at
    asked = [
        hour
        for hour in range(80)
        if ask_when_due(scheduled.version, rebuilds, scheduled.manifests, begin + timedelta(hours=hour))
    ]
    assert asked == [24, 48, 72]
    assert {request.reason for request in rebuilds.waiting()} == {"schedule"}


def test_a_rebuilt_head_is_served_by_the_ordinary_way(begin_life: Callable):
    life = begin_life(MemoryStore(), "squarecb")
    life.live(rounds=2, size=14)
    late_reward(life, 16)
    life.serving.refresh()
    made = rebuilt(life)
    assert life.serving.refresh().swapped == [made[-1]]
