"""The gate on the real engine's log, in a world whose truth is known: two weeks and more of one policy's decisions."""

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.errors import EvidenceConflict, InvalidInput
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.ports import Evaluations, OutcomeLog, Registry, Releases
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.store.memory.evaluations import MemoryEvaluations
from cxi_bandit.store.postgres import PostgresStore
from simulator.candidates import Candidate, ManifestCandidate, Parts, Prepared, Uniform, parse_candidate
from simulator.datasets.live_log import read_live_log
from simulator.datasets.log import ReplayLog
from simulator.loop import Loop, LoopResult, Pace
from simulator.manifests import shipped_texts, with_value
from simulator.progress import Track, silent
from simulator.replay import Replay
from simulator.trials import close_sitting, read_docket, weigh
from simulator.trials.against_itself import against_itself
from simulator.trials.outlook import outlook
from simulator.world.shopping import ShoppingWorld

DECISIONS, SEED = 24_000, 2
SEARCH = PolicyName("search")
WARM = shipped_texts()["search.toml"]
# An incumbent that never leaves its cold start is frozen: it learns on, and nothing of that is served.
COLD = with_value(WARM, "outcomes", "1000000")


@dataclass(frozen=True)
class Shelves:
    """One store's logs with another's evidence."""

    registry: Registry
    releases: Releases
    outcomes: OutcomeLog
    evaluations: Evaluations


@dataclass(frozen=True)
class Worse:
    """The rarest first: what a trained candidate likes, this one avoids."""

    of: Candidate
    spec: str = "worse"

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:
        prepared = self.of.prepare(log, track)
        liked = prepared.probabilities
        avoided = np.divide(1.0, liked, out=np.zeros_like(liked), where=liked > 0.0)
        return replace(prepared, probabilities=avoided / avoided.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def ran() -> LoopResult:
    pace = Pace(seconds_per_decision=60.0, seconds_per_pass=86_400.0)
    return Loop({"search.toml": COLD}, SEED, pace=pace).run(DECISIONS)


@pytest.fixture(scope="module")
def log(ran: LoopResult) -> ReplayLog:
    store = ran.store
    audit = DecisionAudit(store.registry, store.releases, ran.manifests, ran.keyring, ran.room)
    return read_live_log(SEARCH, store.outcomes, ran.manifests, audit)


@pytest.fixture(scope="module")
def trained(ran: LoopResult, tmp_path_factory: pytest.TempPathFactory) -> ManifestCandidate:
    path: Path = tmp_path_factory.mktemp("candidate") / "search.toml"
    path.write_text(WARM, "utf-8")
    parts = Parts(registry=ran.store.registry, room=ran.room, train_fraction=0.3)
    candidate = parse_candidate(f"manifest:{path}", parts)
    assert isinstance(candidate, ManifestCandidate)
    return candidate


@pytest.fixture
def shelves(ran: LoopResult) -> Shelves:
    return Shelves(ran.store.registry, ran.store.releases, ran.store.outcomes, MemoryEvaluations(threading.RLock()))


def sit(
    ran: LoopResult,
    shelves: Shelves,
    log: ReplayLog,
    *candidates: Candidate,
    days: float = 99,
    proposal: str | None = None,
) -> list[Replay]:
    docket = read_docket(shelves, ran.room, log, candidates, proposal=proposal)
    weighed = [weigh(docket, candidate) for candidate in candidates]
    now = ran.decisions[0].decided_at + timedelta(days=days)
    return [replay for _, replay in close_sitting(docket, weighed, shelves.evaluations, now)]


def true_gain(ran: LoopResult, candidate: Candidate, log: ReplayLog) -> float:
    """V_e - V_i over the candidate's rows, from the world's own expected rewards."""
    prepared = candidate.prepare(log, silent)
    manifest = ran.manifests.by_sha(ran.decisions[0].manifest_sha)
    world = ShoppingWorld({"search": manifest}, SEED, length=DECISIONS)
    expected = np.array([encounter.expected for encounter in world.encounters(DECISIONS)])[-len(prepared.log) :]
    assert prepared.log.rounds.actions == manifest.catalogue
    assert prepared.log.rounds.probabilities is not None
    return float(((prepared.probabilities - prepared.log.rounds.probabilities) * expected).sum(axis=1).mean())


@pytest.mark.statistical
def test_a_truly_better_candidate_goes(
    ran: LoopResult, log: ReplayLog, trained: ManifestCandidate, shelves: Shelves
) -> None:
    assert true_gain(ran, trained, log) > 0.03
    (early,) = sit(ran, shelves, log, trained, days=11)
    assert early.report.verdict.decision is Ruling.WAIT
    assert "too_early" in {reason.code for reason in early.report.verdict.reasons}
    (replay,) = sit(ran, shelves, log, trained)
    trial = replay.report.trial
    assert replay.report.verdict.decision is Ruling.GO
    assert trial is not None
    assert (trial.ordinal, trial.days, len(trial.path)) == (1, 7, 7)
    assert trial.path[-1].log_e == trial.log_e >= trial.log_threshold
    assert trial.path[-1].units == trial.units
    assert [(standing.metric, standing.passed) for standing in trial.guardrails] == [("complaint", True)]
    assert shelves.evaluations.get(2).report == replay.report
    assert shelves.evaluations.get(2).manifest_sha == trained.sha
    expired = replay.report.verdict.against("search version 1, model 7")
    assert expired.decision is Ruling.REFUSE


@pytest.mark.statistical
def test_a_truly_worse_candidate_never_goes(
    ran: LoopResult, log: ReplayLog, trained: ManifestCandidate, shelves: Shelves
) -> None:
    worse = Worse(trained)
    assert true_gain(ran, worse, log) < -0.005
    (replay,) = sit(ran, shelves, log, worse)
    trial = replay.report.trial
    assert replay.report.verdict.decision is not Ruling.GO
    assert trial is not None
    # P(ln E ever above ln(1/alpha_1)) <= alpha_1 = .03 for no worse a candidate; this one's evidence goes down.
    assert max(point.log_e for point in trial.path) < 1.0


@pytest.mark.statistical
def test_the_incumbent_against_itself_never_goes(ran: LoopResult, log: ReplayLog, shelves: Shelves) -> None:
    docket = read_docket(shelves, ran.room, log, [])
    test = against_itself(docket)
    assert test.found.passed
    assert test.replay.report.verdict.decision is Ruling.WAIT
    assert test.found.log_e == 0.0
    assert test.found.on_policy_mean == pytest.approx(test.replay.report.estimates["ips"].value, abs=1e-12)
    assert test.found.own_rows == DECISIONS
    assert shelves.evaluations.spendings(SEARCH) == []


@pytest.mark.statistical
def test_halves_of_the_shoppers_hardly_ever_differ(ran: LoopResult, log: ReplayLog, shelves: Shelves) -> None:
    """At alpha = .05, 60 independent halvings exceed 1/alpha more than 8 times with probability below .005."""
    from simulator.trials import against_itself as room  # noqa: PLC0415 - looks inside
    from simulator.trials.bets import declared, rows_of, vectors  # noqa: PLC0415 - looks inside

    docket = read_docket(shelves, ran.room, log, [])
    asked = vectors(
        Prepared(log=docket.closed.log, probabilities=room._logged(docket.closed.log)),
        docket.incumbent,
        docket.served,
        silent,
    )
    rows, _ = rows_of(docket.closed, asked, docket.incumbent, docket.rule, declared(docket.rule, asked))
    reached = [room._halves(docket, rows, 10_000, seed) for seed in range(60)]
    assert len(set(reached)) == 60
    assert sum(log_e >= np.log(20.0) for log_e in reached) <= 8


@pytest.mark.parametrize("kept_in", ["memory", "postgres"])
def test_many_sittings_equal_one_bit_for_bit(
    ran: LoopResult, log: ReplayLog, shelves: Shelves, kept_in: str, request: pytest.FixtureRequest
) -> None:
    if kept_in == "postgres":
        store: PostgresStore = request.getfixturevalue("postgres_store")
        shelves = Shelves(shelves.registry, shelves.releases, shelves.outcomes, store.evaluations)
    (one,) = sit(ran, shelves, log, Uniform(), proposal="one")
    for days in (3, 8, 9, 15, 99):
        (many,) = sit(ran, shelves, log, Uniform(), days=days, proposal="many")
    once, often = one.report.trial, many.report.trial
    assert once is not None
    assert often is not None
    assert once.days == 14
    same = {"proposal": "", "ordinal": 0, "alpha": 0.0, "log_threshold": 0.0}
    assert msgspec.structs.replace(once, **same) == msgspec.structs.replace(often, **same)
    assert [spending.ordinal for spending in shelves.evaluations.spendings(SEARCH)] == [1, 2]
    # Only sittings that heard something new are kept: the opening, one week, two weeks.
    kept = shelves.evaluations.sitting(SEARCH, "many")
    assert kept is not None
    assert kept[0] == 3


def test_candidates_on_the_same_rows_share_one_line_of_the_ledger(
    ran: LoopResult, log: ReplayLog, trained: ManifestCandidate, shelves: Shelves
) -> None:
    better, uniform = sit(ran, shelves, log, trained, Uniform(), proposal="both")
    (spending,) = shelves.evaluations.spendings(SEARCH)
    assert spending.candidates == 2
    for replay in (better, uniform):
        assert replay.report.trial is not None
        assert replay.report.trial.log_threshold == pytest.approx(np.log(2 / spending.alpha))
    assert better.report.verdict.decision is Ruling.GO
    assert uniform.report.verdict.decision is Ruling.WAIT
    with pytest.raises(InvalidInput, match="other candidates are another proposal"):
        sit(ran, shelves, log, Uniform(), proposal="both")
    with pytest.raises(InvalidInput, match="twice"):
        sit(ran, shelves, log, Uniform(), Uniform())


def test_of_two_sittings_at_once_one_is_told_to_hear_again(ran: LoopResult, log: ReplayLog, shelves: Shelves) -> None:
    docket = read_docket(shelves, ran.room, log, [Uniform()])
    weighed = [weigh(docket, Uniform())]
    now = ran.decisions[-1].closes_at
    close_sitting(docket, weighed, shelves.evaluations, now)
    with pytest.raises(EvidenceConflict):
        close_sitting(docket, weighed, shelves.evaluations, now)
    assert len(shelves.evaluations.spendings(SEARCH)) == 1


def test_a_candidate_that_is_not_the_declared_one_is_refused(
    ran: LoopResult, log: ReplayLog, trained: ManifestCandidate, shelves: Shelves
) -> None:
    docket = read_docket(shelves, ran.room, log, [Uniform()])
    opening = ran.decisions[10_000].decided_at
    weighed = weigh(docket, Uniform(), opening=opening)
    assert weighed.opened_at == opening
    close_sitting(docket, [weighed], shelves.evaluations, ran.decisions[-1].closes_at)
    again = read_docket(shelves, ran.room, log, [Uniform()])
    assert weigh(again, Uniform()).opened_at == opening
    with pytest.raises(InvalidInput, match="and stays so"):
        weigh(again, Uniform(), opening=opening + timedelta(days=1))
    name = "uniform"
    changed = replace(again, known={name: msgspec.structs.replace(again.known[name], model_sha="f" * 64)})
    with pytest.raises(InvalidInput, match="under a new id"):
        weigh(changed, Uniform())


def test_a_trial_dies_with_its_incumbent(ran: LoopResult, log: ReplayLog, shelves: Shelves) -> None:
    sit(ran, shelves, log, Uniform(), days=8.5)
    docket = read_docket(shelves, ran.room, log, [Uniform()])
    successor = msgspec.structs.replace(docket.incumbent.version, version=2)
    moved = replace(docket, incumbent=replace(docket.incumbent, version=successor))
    ((_, replay),) = close_sitting(moved, [weigh(moved, Uniform())], shelves.evaluations, ran.decisions[-1].closes_at)
    assert "incumbent_changed" in {reason.code for reason in replay.report.verdict.reasons}
    assert replay.report.verdict.decision is Ruling.REFUSE
    assert replay.report.trial is not None
    assert replay.report.trial.days == 7, "nothing more is heard"


def test_an_incumbent_that_does_not_score_as_it_logged_is_refused(
    ran: LoopResult, log: ReplayLog, shelves: Shelves
) -> None:
    docket = read_docket(shelves, ran.room, log, [Uniform()])
    other = parse_manifest(with_value(COLD, "hold", "0.4"), "other.toml")
    served = replace(docket, served=ServedPolicy(docket.incumbent.version, other, None, None))
    found = weigh(served, Uniform())
    assert found.rows is None
    assert found.refusals[0].code == "incumbent_rescored"


def test_the_plan_foresees_the_go(
    ran: LoopResult, log: ReplayLog, trained: ManifestCandidate, shelves: Shelves
) -> None:
    docket = read_docket(shelves, ran.room, log, [trained])
    found = outlook(docket, trained)
    assert (found.ordinal, found.floor_days) == (1, 7)
    week, fortnight = found.visible[:2]
    assert week.effect == pytest.approx(fortnight.effect * np.sqrt(2))
    assert week.reward == pytest.approx(week.effect * 1.9)
    # The truth is larger than what the pessimist needs for one week, and the trial above went after one.
    assert true_gain(ran, trained, log) > week.reward
    alone, of_three = (outlook(docket, Uniform(), candidates=candidates) for candidates in (1, 3))
    assert of_three.visible[0].effect > alone.visible[0].effect
    assert shelves.evaluations.spendings(SEARCH) == []
