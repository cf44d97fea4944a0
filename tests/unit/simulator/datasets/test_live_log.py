"""The live log tells the truth: executed again it gives its own vectors, and replayed against itself its own mean."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.evaluation import Level
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.policy.parsing import parse_manifest
from simulator.candidates import ManifestCandidate, Parts, Prepared, parse_candidate
from simulator.datasets.live_log import read_live_log
from simulator.datasets.log import ReplayLog
from simulator.loop import Loop, LoopResult
from simulator.manifests import shipped_texts
from simulator.progress import Track, silent
from simulator.replay import ReplaySettings, replay

POLICY = PolicyName("detail-page")


@dataclass(frozen=True)
class Incumbent:
    """Whatever logged each row, executed again."""

    spec: str = "incumbent"

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:
        assert log.rescored is not None
        return Prepared(log=log, probabilities=log.rescored)


def left_alone(decision: Decision) -> bool:
    return decision.assignment is not None and decision.assignment.arm is Arm.HOLD


@pytest.fixture(scope="module")
def ran() -> LoopResult:
    return Loop(shipped_texts(), seed=11).run(4000)


@pytest.fixture(scope="module")
def log(ran: LoopResult) -> ReplayLog:
    audit = DecisionAudit(ran.store.registry, ran.store.releases, ran.manifests, ran.keyring, ran.room)
    return read_live_log(POLICY, ran.store.outcomes, ran.manifests, audit)


@pytest.fixture(scope="module")
def parts(ran: LoopResult) -> Parts:
    return Parts(registry=ran.store.registry, room=ran.room)


def test_every_closed_decision_is_there_in_decision_order(ran: LoopResult, log: ReplayLog) -> None:
    own = [decision for decision in ran.decisions if decision.policy == POLICY and not left_alone(decision)]
    assert len(log) == len(own)
    assert (np.diff(log.rounds.logged_at) >= 0).all()
    assert log.rounds.propensity.tolist() == [decision.propensity for decision in own]
    assert [log.rounds.actions[index] for index in log.rounds.action] == [decision.intervention for decision in own]


def test_vectors_stand_on_the_eligible_interventions(log: ReplayLog) -> None:
    probabilities, eligible = log.rounds.probabilities, log.rounds.eligible
    assert probabilities is not None
    assert eligible is not None
    assert ((probabilities > 0) == eligible).all()
    assert not eligible.all()


def test_equal_shoppers_have_equal_codes(ran: LoopResult, log: ReplayLog) -> None:
    own = [one.subject for one in ran.decisions if one.policy == POLICY and not left_alone(one)]
    assert log.rounds.subject is not None
    pairs = set(zip(own, log.rounds.subject.tolist(), strict=True))
    assert len({code for _, code in pairs}) == len({subject for subject, _ in pairs}) == len(pairs)


def test_the_incumbent_executed_again_gives_the_logged_vectors_exactly(log: ReplayLog) -> None:
    assert log.rescored is not None
    assert log.rounds.probabilities is not None
    assert np.array_equal(log.rescored, log.rounds.probabilities)


def test_the_incumbent_replayed_on_its_own_log_earns_its_mean_reward(log: ReplayLog) -> None:
    report = replay(log, Incumbent()).report
    mean = float(log.rounds.reward.mean())
    for name in ("ips", "snips", "clipped_ips"):
        assert report.estimates[name].value == pytest.approx(mean, rel=1e-12), name
    diagnostics = report.diagnostics
    assert diagnostics.ess == pytest.approx(len(log))
    assert diagnostics.mean_weight == pytest.approx(1.0)
    assert diagnostics.rescoring_gap == 0.0
    assert next(check for check in diagnostics.checks if check.code == "rescoring").level is Level.OK


def test_a_model_is_scored_with_the_floors_it_is_served_with(ran: LoopResult, log: ReplayLog, parts: Parts) -> None:
    head = ran.store.registry.models(POLICY)[-1].lineage.version
    prepared = parse_candidate(f"model:{POLICY}@{head}", parts).prepare(log, silent)
    floor = log.manifest.exploration.floor
    eligible = log.rounds.eligible
    assert eligible is not None
    assert prepared.probabilities[eligible].min() >= floor * (1 - 1e-12)
    assert not prepared.probabilities[~eligible].any()
    assert any("learned from" in note for note in prepared.notes)


def test_the_model_that_logged_a_row_scores_it_as_it_was_logged(log: ReplayLog, ran: LoopResult, parts: Parts) -> None:
    last = [decision for decision in ran.decisions if decision.policy == POLICY][-1]
    assert last.model_version is not None
    prepared = parse_candidate(f"model:{POLICY}@{last.model_version}", parts).prepare(log, silent)
    assert log.rounds.probabilities is not None
    assert np.array_equal(prepared.probabilities[-1], log.rounds.probabilities[-1])


def test_an_unknown_model_is_not_found(parts: Parts) -> None:
    with pytest.raises(NotFound):
        parse_candidate("model:detail-page@9999", parts)


def test_a_manifest_is_judged_only_on_rows_after_those_it_learned(log: ReplayLog, parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "detail-page.toml"
    path.write_text(shipped_texts()["detail-page.toml"])
    candidate = ManifestCandidate.read("manifest:x", path, parts.room, 0.6)
    prepared = candidate.prepare(log, silent)
    split = int(len(log) * 0.6)
    assert len(prepared.log) == len(log) - split
    assert np.array_equal(prepared.log.rounds.logged_at, log.rounds.logged_at[split:])
    assert f"first {split} rows" in prepared.notes[0]
    assert prepared.manifest_sha is not None

    # Rewards of the rows it is judged on cannot reach it: turned round, they leave its probabilities as they were.
    turned = replace_rewards(log, split)
    assert np.array_equal(candidate.prepare(turned, silent).probabilities, prepared.probabilities)


def replace_rewards(log: ReplayLog, after: int) -> ReplayLog:
    rows = [log.contexts.training_row(row, log.manifest) for row in range(len(log))]
    rows[after:] = [msgspec.structs.replace(row, reward=-row.reward) for row in rows[after:]]
    contexts = type(log.contexts)(rows, {row.decision.manifest_sha: log.manifest for row in rows})  # type: ignore[call-arg]
    return ReplayLog(
        name=log.name,
        rounds=log.rounds,
        reward_range=log.reward_range,
        contexts=contexts,
        manifest=log.manifest,
    )


def test_an_intervention_the_log_never_had_is_mass_without_support(
    log: ReplayLog, parts: Parts, tmp_path: Path
) -> None:
    path = tmp_path / "more.toml"
    path.write_text(
        shipped_texts()["detail-page.toml"]
        + '\n[[interventions]]\nid = "brand_new"\nfeatures = { kind = "none", intrusiveness = 0.5 }\n'
    )
    report = replay(log, ManifestCandidate.read("manifest:more", path, parts.room, 0.5)).report
    assert report.diagnostics.unsupported_mass is not None
    assert report.diagnostics.unsupported_mass > 0
    assert "support" in {check.code for check in report.diagnostics.checks if check.level is not Level.OK}


def test_a_manifest_of_another_surface_cannot_be_asked(log: ReplayLog, parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(shipped_texts()["search.toml"])
    manifest = parse_manifest(path.read_text(), "search.toml")
    assert manifest.name == "search"
    with pytest.raises(InvalidInput):
        ManifestCandidate.read("manifest:search", path, parts.room, 0.5).prepare(log, silent)


def test_vw_knows_the_context_and_never_the_row_it_predicts(log: ReplayLog, parts: Parts) -> None:
    uniform = parse_candidate("uniform", parts)
    vw = replay(log, uniform, ReplaySettings(reward_model="vw"))
    assert "cross-fitted in 5 folds" in vw.notes[-1]
    plain = replay(log, uniform).report.estimates
    assert vw.report.estimates["ips"] == plain["ips"]
    assert vw.report.estimates["dr"].value != plain["dr"].value
    again = replay(log, uniform, ReplaySettings(reward_model="vw"))
    assert again == vw


def test_a_policy_without_closed_decisions_has_no_log(ran: LoopResult) -> None:
    with pytest.raises(NotFound):
        read_live_log(PolicyName("nobody"), ran.store.outcomes, ran.manifests, None)
