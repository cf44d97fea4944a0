import numpy as np
import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Fallback
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit, audit_models
from simulator.loop import Loop, LoopResult, Pace
from simulator.manifests import shipped_texts
from simulator.tally import Tally
from simulator.world.scenarios import SHOPPING


@pytest.fixture(scope="module")
def result() -> LoopResult:
    return Loop(shipped_texts(), seed=6).run(1200)


def test_every_decision_is_joined_and_learned_once(result: LoopResult) -> None:
    registry, outcomes = result.store.registry, result.store.outcomes
    policies = [version.policy for version in registry.versions()]
    assert sum(outcomes.head(policy) for policy in policies) >= len(result.decisions)
    learned = sum(registry.heads()[place].lineage.learned_total for place in range(len(policies)))
    held_back = sum(one.assignment is not None and one.assignment.arm is Arm.HOLD for one in result.decisions)
    assert learned == len(result.decisions) - held_back


def test_cold_start_first_then_the_model(result: LoopResult) -> None:
    assert result.decisions[0].fallback is Fallback.COLD_START
    assert result.decisions[-1].fallback is None
    assert result.decisions[-1].model_version is not None


def test_every_decision_can_be_executed_again(result: LoopResult) -> None:
    audit = DecisionAudit(result.store.registry, result.store.releases, result.manifests, result.keyring, result.room)
    assert {audit.audit(decision).verdict for decision in result.decisions} == {AuditVerdict.IDENTICAL}


def test_every_model_can_be_derived_again(result: LoopResult) -> None:
    registry, outcomes = result.store.registry, result.store.outcomes
    for version in registry.versions():
        findings = audit_models(registry.models(version.policy), registry, outcomes, result.manifests, result.room)
        assert {finding.verdict for finding in findings} == {AuditVerdict.IDENTICAL}


def test_late_and_corrected_rewards_become_revisions(result: LoopResult) -> None:
    revisions = [result.store.outcomes.revisions(decision.decision_id) for decision in result.decisions]
    assert any(len(some) > 1 for some in revisions)


def test_the_tally_lies_between_the_worst_and_the_oracle(result: LoopResult) -> None:
    values = result.tally.values
    assert values.shape == (1200, 4)
    assert (values[:, 3] >= values[:, :3].max(axis=1) - 1e-12).all()
    assert (np.diff(result.tally.regret()) >= -1e-12).all()
    assert np.isclose(result.tally.curve(7).mean(axis=0), values.mean(axis=0), atol=0.01).all()


def test_pace_changes_what_is_known_not_who_comes() -> None:
    slow = Loop(shipped_texts(), 7, SHOPPING, Pace(seconds_per_pass=1e6)).run(300)
    fast = Loop(shipped_texts(), 7, SHOPPING, Pace(seconds_per_decision=600.0)).run(300)
    assert slow.tally.values[:, [0, 1, 3]].tolist() == fast.tally.values[:, [0, 1, 3]].tolist()
    assert {decision.model_version for decision in slow.decisions} == {None}


def test_an_empty_tally_has_no_rows() -> None:
    assert Tally().values.shape == (0, 4)
