"""A live log at a cut: stable for ever, settled again from its events, with the versions that logged it."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Level
from cxi_bandit.domain.identifiers import PolicyName, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.join import join
from cxi_bandit.engine.record import record
from cxi_bandit.policy.manifest import Manifest, Metric
from simulator.candidates import Uniform
from simulator.datasets.live_log import read_live_log
from simulator.datasets.log import ReplayLog
from simulator.datasets.snapshot import Reach, parse_reach
from simulator.loop import Loop, LoopResult, Pace
from simulator.manifests import shipped_texts
from simulator.relabel import at_horizon, read_definition, relabelled
from simulator.replay import ReplaySettings, replay

POLICY = PolicyName("cart")


@pytest.fixture(scope="module")
def ran() -> LoopResult:
    return Loop(shipped_texts(), seed=4, pace=Pace(seconds_per_decision=40.0)).run(1500)


@pytest.fixture(scope="module")
def log(ran: LoopResult) -> ReplayLog:
    audit = DecisionAudit(ran.store.registry, ran.store.releases, ran.manifests, ran.keyring, ran.room)
    return read_live_log(POLICY, ran.store.outcomes, ran.manifests, audit, ledger=ran.store.ledger)


def read(ran: LoopResult, reach: Reach | None = None) -> ReplayLog:
    return read_live_log(POLICY, ran.store.outcomes, ran.manifests, None, reach=reach, ledger=ran.store.ledger)


def test_settled_again_under_its_own_manifest_every_row_earns_what_it_earned(log: ReplayLog) -> None:
    assert log.history is not None
    settlements = log.history.settled()
    assert [settlement.reward for settlement in settlements] == log.rounds.reward.tolist()
    assert log.completed is not None
    assert [settlement.completed for settlement in settlements] == log.completed.tolist()
    again = relabelled(log, log.manifest)
    assert np.array_equal(again.rounds.reward, log.rounds.reward)
    assert log.evidence is not None
    assert again.evidence is not None
    assert np.array_equal(again.evidence, log.evidence)


@settings(max_examples=15, deadline=None)
@given(
    late=st.lists(
        st.tuples(st.integers(0, 10_000), st.sampled_from(["purchase", "margin", "complaint"]), st.floats(0, 1)),
        max_size=8,
    )
)
def test_later_rewards_do_not_reach_a_log_at_its_cut(ran: LoopResult, late: list[tuple[int, str, float]]) -> None:
    before = read(ran)
    assert before.snapshot is not None
    store = ran.store
    cut = store.outcomes.ledger_cut()
    mine = [decision for decision in ran.decisions if decision.policy == POLICY]
    events = []
    for number, (which, metric, value) in enumerate(late):
        decision = mine[which % len(mine)]
        events.append(
            RewardEvent(
                source=Source("late"),
                reward_id=RewardId(f"{cut}-{number}"),
                decision_id=decision.decision_id,
                metric=metric,
                value=value,
                occurred_at=decision.decided_at + timedelta(seconds=1),
            )
        )
        store.decisions.activate(decision.decision_id, decision.closes_at + timedelta(days=30))
    end = mine[-1].closes_at + timedelta(days=30)
    record(events, end, store.decisions, store.ledger, ran.manifests)
    while not join(store.outcomes, ran.manifests, end, timedelta(0)).idle:
        pass
    again = read(ran, parse_reach(before.snapshot.option))
    assert again.snapshot == before.snapshot
    assert np.array_equal(again.rounds.reward, before.rounds.reward)
    assert replay(again, Uniform()) == replay(before, Uniform())
    assert before.history is not None
    assert again.history is not None
    assert again.history.settled(2.0) == before.history.settled(2.0)


def test_an_earlier_position_is_a_shorter_log(ran: LoopResult) -> None:
    whole = read(ran)
    part = read(ran, Reach(40))
    assert part.snapshot is not None
    assert 0 < len(part) < len(whole)
    assert (part.rounds.logged_at <= part.snapshot.taken_at.timestamp()).all()


@pytest.mark.parametrize("text", ["", "x", "3,", ",3", "-1", "1,2,3", "1.5"])
def test_a_position_has_one_form(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_reach(text)
    assert parse_reach(" 12, 34 ") == Reach(12, 34)


def test_another_definition_changes_rewards_range_and_what_a_candidate_learns(log: ReplayLog) -> None:
    definition = with_reward(log.manifest, {"purchase": Metric(weight=2.0, min=0, max=1)}, smallest=-1.0, largest=2.0)
    again = relabelled(log, definition)
    assert again.reward_range == (-1.0, 2.0)
    bought = again.rounds.reward > 1.0
    assert bought.any()
    assert again.completed is not None
    assert bought.sum() == again.completed.sum()
    rows = [again.contexts.training_row(row, again.manifest).reward for row in range(len(again))]
    assert rows == again.rounds.reward.tolist()
    # The evidence is what the purchase brought, whatever the intervention's price.
    assert again.evidence is not None
    assert set(np.round(again.evidence, 9)) == {0.0, 2.0}


def test_what_one_manifest_quarantined_counts_where_another_allows_it(ran: LoopResult) -> None:
    store = ran.store
    decision = next(decision for decision in ran.decisions if decision.policy == POLICY)
    event = RewardEvent(
        source=Source("crm"),
        reward_id=RewardId("survey"),
        decision_id=decision.decision_id,
        metric="survey",
        value=1.0,
        occurred_at=decision.decided_at,
    )
    (receipt,) = record([event], decision.closes_at, store.decisions, store.ledger, ran.manifests)
    assert receipt.status == "quarantined"
    join(store.outcomes, ran.manifests, decision.closes_at + timedelta(days=60), timedelta(0))
    log = read(ran)
    definition = with_reward(log.manifest, {"survey": Metric(weight=1.0, min=0, max=1)}, smallest=-0.7, largest=1.2)
    again = relabelled(log, definition)
    assert again.completed is not None
    assert again.completed.sum() == 1


def test_a_longer_window_leaves_out_the_young_and_says_so(ran: LoopResult) -> None:
    logs = (read(ran, Reach(position)) for position in range(20, ran.store.outcomes.head(POLICY), 20))
    log, young = next(
        (log, young)
        for log in logs
        if log.history is not None and 0 < (young := int((~log.history.matured(2.0)).sum())) < len(log)
    )
    again = at_horizon(log, 2.0)
    assert len(again) == len(log) - young
    assert f"{young} of {len(log)} decisions are left out" in again.notes[-1]
    with pytest.raises(InvalidInput, match="no decision"):
        at_horizon(log, 1e6)


def test_a_definition_must_price_what_was_drawn_and_be_a_manifest(log: ReplayLog) -> None:
    priceless = msgspec.structs.replace(log.manifest, interventions=log.manifest.interventions[:1])
    with pytest.raises(InvalidInput, match="the log drew it"):
        relabelled(log, priceless)
    for spec in ("cart.toml", "manifest:", "manifest:nowhere.toml"):
        with pytest.raises(InvalidInput):
            read_definition(spec)


def test_a_log_without_its_events_says_so(ran: LoopResult) -> None:
    bare = read_live_log(POLICY, ran.store.outcomes, ran.manifests, None)
    with pytest.raises(InvalidInput, match="not the events"):
        relabelled(bare, bare.manifest)
    with pytest.raises(InvalidInput, match="not the events"):
        replay(bare, Uniform(), ReplaySettings(horizon_sensitivity=True))


def test_every_version_scores_every_row_and_its_own_as_it_drew_them(log: ReplayLog) -> None:
    versions = log.versions
    assert versions is not None
    assert versions.present > 1
    assert versions.of_action is not None
    own = versions.of_action[versions.of_row, np.arange(len(log))]
    assert own == pytest.approx(log.rounds.propensity, abs=1e-12)
    mixture = versions.mixture()
    assert mixture is not None
    assert mixture == pytest.approx(versions.shares @ versions.of_action)
    later = log.take(np.arange(len(log) // 2, len(log))).versions
    assert later is not None
    assert later.shares.sum() == pytest.approx(1.0)
    first = np.flatnonzero(versions.of_row == 0)
    alone = log.take(first).versions
    assert alone is not None
    # One version logged these rows, so the mixture is its own propensity.
    assert alone.mixture() == pytest.approx(log.rounds.propensity[first], abs=1e-12)


def test_a_model_that_was_thinned_away_keeps_balanced_honest(ran: LoopResult) -> None:
    audit = DecisionAudit(ran.store.registry, ran.store.releases, ran.manifests, ran.keyring, ran.room)
    few = read_live_log(POLICY, ran.store.outcomes, ran.manifests, audit, pooling=1)
    assert few.versions is not None
    assert few.versions.mixture() is None
    assert "scorings" in few.versions.why_not
    found = replay(few, Uniform())
    assert found.report.estimates["balanced"].value == pytest.approx(found.report.estimates["ips"].value)
    assert any("which makes it ips" in note for note in found.notes)


def test_activations_of_every_answered_decision_are_compared(ran: LoopResult) -> None:
    result = Loop({"cart.toml": shipped_texts()["cart.toml"]}, seed=9).run(400)
    mine = [decision for decision in result.decisions if decision.policy == POLICY]
    assert read(result).shown is None
    for decision in mine:
        if decision.intervention == "hold":
            result.store.decisions.activate(decision.decision_id, decision.decided_at)
    log = read(result)
    report = replay(log, Uniform()).report
    assert report.diagnostics.activation_gap is not None
    assert report.diagnostics.activation_gap > 0.3
    (check,) = [check for check in report.diagnostics.checks if check.code == "activation"]
    assert check.level is Level.AMBER


def test_a_reward_that_names_the_shopper_is_settled_again_like_any_other(ran: LoopResult) -> None:
    store = ran.store
    decision = next(decision for decision in ran.decisions if decision.policy == POLICY and decision.subject)
    event = RewardEvent(
        source=Source("till"),
        reward_id=RewardId("paid"),
        subject=decision.subject,
        metric="margin",
        value=64.0,
        occurred_at=decision.decided_at,
    )
    before = read(ran)
    record([event], decision.closes_at, store.decisions, store.ledger, ran.manifests)
    end = ran.decisions[-1].closes_at + timedelta(days=30)
    while not join(store.outcomes, ran.manifests, end, timedelta(0)).idle:
        pass
    assert event in [entry.event for entry in store.ledger.history(decision.decision_id)]
    log = read(ran)
    assert log.history is not None
    assert [settlement.reward for settlement in log.history.settled()] == log.rounds.reward.tolist()
    assert (log.rounds.reward != before.rounds.reward).sum() == 1


def with_reward(manifest: Manifest, metrics: dict[str, Metric], *, smallest: float, largest: float) -> Manifest:
    reward = msgspec.structs.replace(manifest.reward, metrics=metrics, min=smallest, max=largest)
    return msgspec.structs.replace(manifest, reward=reward)
