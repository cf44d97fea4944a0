"""What was learned of days that retention has dropped stays learned, and what never had them is proved without them."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cxi_bandit.domain.model import Model
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.audit import AuditVerdict, audit_models
from cxi_bandit.engine.rebuild import RebuildPlan, plan_rebuild, rebuild

DAY = timedelta(days=1)
OLD, BORDER, NEW = 24, 52, 60
"""A decision of the day that goes, one of the day that stays in a segment that has both, and one after it."""


@pytest.fixture
def life(postgres_store, begin_life: Callable):
    """42 decisions on one day; ten days later 7 more of it and 7 of the new day in one segment, then 42 of the new."""
    life = begin_life(postgres_store, "squarecb")
    postgres_store.partitions.ensure(life.now.date(), 0)
    life.live(rounds=3, size=14)
    life.log(life.decide(7))
    life.now += 10 * DAY
    postgres_store.partitions.ensure(life.now.date(), 0)
    life.log(life.decide(7))
    life.pass_on(90)
    life.live(rounds=3, size=14)
    return life


def late_reward(life, index: int) -> None:
    life.record([life.reward(life.decided[index], "purchase", 1.0), life.reward(life.decided[index], "complaint", 1.0)])
    life.pass_on(10)


def dropped(life, store) -> int:
    """Drops the old day; how much had been learned until now."""
    assert len(store.retention.drop(life.now, 5 * DAY, 30 * DAY, seconds=30).days) == 1
    return learned_total(life)


def erase(life, index: int) -> None:
    life.store.outcomes.erase(life.version.policy, [life.decided[index].decision_id], life.now)


def learned_total(life) -> int:
    return life.store.registry.head(life.version.policy, 1).lineage.learned_total


def plan(life) -> RebuildPlan:
    return plan_rebuild(life.version, life.store.registry, life.store.outcomes, life.manifest)


def rebuilt(life, *, from_start: bool = False) -> list[Model]:
    parts = (life.store.registry, life.store.outcomes, life.manifests, life.room)
    return list(rebuild(life.version, life.now, *parts, from_start=from_start))


def verdicts(life, models: list[Model]) -> set[AuditVerdict]:
    parts = (life.store.registry, life.store.outcomes, life.manifests, life.room)
    return {finding.verdict for finding in audit_models(models, *parts)}


def segment_of(life, index: int) -> tuple[int, int]:
    position = life.store.outcomes.revisions(life.decided[index].decision_id)[0].position
    line = life.store.registry.models(life.version.policy)
    return next((m.lineage.after, m.lineage.up_to) for m in line if m.lineage.after < position <= m.lineage.up_to)


def test_what_changed_in_a_dropped_day_is_no_reason_to_learn_it_again(postgres_store, life):
    late_reward(life, OLD)
    asked = Unlearning(
        policy=life.version.policy, source=None, since=life.now - 20 * DAY, until=life.now - 5 * DAY, asked_at=life.now
    )
    postgres_store.outcomes.unlearn(asked)
    assert plan(life).checkpoint.lineage.up_to < 42
    before = dropped(life, postgres_store)
    assert plan(life).segments == ()
    segment = segment_of(life, NEW)
    erase(life, NEW)
    assert (plan(life).segments[0], plan(life).forgotten) == (segment, 0)
    made = rebuilt(life)
    assert learned_total(life) == before - 1
    assert verdicts(life, made) == {AuditVerdict.IDENTICAL}


def test_a_late_reward_in_a_segment_that_lost_rows_is_not_learned_and_one_after_it_is(postgres_store, life):
    late_reward(life, BORDER)
    before = dropped(life, postgres_store)
    assert rebuilt(life) == []
    late_reward(life, NEW)
    made = rebuilt(life)
    assert (made[0].lineage.after, made[0].lineage.up_to) == segment_of(life, NEW)
    assert learned_total(life) == before


def test_what_is_erased_goes_even_where_dropped_rows_go_with_it(postgres_store, life):
    before = dropped(life, postgres_store)
    segment = segment_of(life, BORDER)
    erase(life, BORDER)
    found = plan(life)
    assert (found.segments[0], found.forgotten) == (segment, 7)
    rebuilt(life)
    assert learned_total(life) == before - 8
    assert rebuilt(life) == []


def test_with_no_checkpoint_between_what_lost_rows_and_what_changed_only_an_erasure_starts_before(postgres_store, life):
    late_reward(life, NEW)
    before = dropped(life, postgres_store)
    policy = life.version.policy
    postgres_store.registry.thin(policy, [model.lineage.version for model in postgres_store.registry.models(policy)])
    assert rebuilt(life) == [], "only the start is left: nothing to start from that would not forget the old day"
    erase(life, NEW)
    assert (plan(life).checkpoint.lineage.up_to, plan(life).forgotten) == (0, 49)
    rebuilt(life)
    assert learned_total(life) == before - 50


def test_what_began_after_retention_is_proved_and_rebuilt_like_anything(postgres_store, life):
    before = dropped(life, postgres_store)
    old = postgres_store.registry.models(life.version.policy)
    made = rebuilt(life, from_start=True)
    assert learned_total(life) == before - 49
    assert verdicts(life, made) == {AuditVerdict.IDENTICAL}, "none of them ever had what is missing"
    assert AuditVerdict.EXPIRED in verdicts(life, old)
    segment = segment_of(life, BORDER)
    erase(life, BORDER)
    assert (plan(life).segments[0], plan(life).forgotten) == (segment, 0)
    assert verdicts(life, made[:2]) == {AuditVerdict.IDENTICAL}
    assert AuditVerdict.ERASED in verdicts(life, made)
    again = rebuilt(life)
    assert learned_total(life) == before - 50
    assert verdicts(life, again) == {AuditVerdict.IDENTICAL}
