"""A log is scored in bulk, by several processes or from the shelf: always the very digits that would be served."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.decision import Defect, Situation, Stage
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import ServedPolicy, distribution
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.vowpal import VowpalRoom
from simulator.candidates.bulk import Origin, Scored, encoded_chunks, processes_for, vectors
from simulator.candidates.scoring import Scoring, score
from simulator.candidates.shelf import Scores, ScoreShelf, score_key
from simulator.datasets.log import ReplayLog
from simulator.progress import silent
from simulator.rounds import LoggedRounds

MANIFEST = """
format = 1
name = "bulk"
surface = "search"
[defects.slow]
[context.features.device]
type = "category"
[context.features.depth]
type = "number"
min = 0
max = 1
[reward]
horizon_seconds = 60
min = 0
max = 1
[reward.metrics.click]
weight = 1
min = 0
max = 1
[exploration.explorer]
algorithm = "{explorer}"
[learning]
bits = 10
[[interventions]]
id = "hold"
[[interventions]]
id = "sort"
[[interventions]]
id = "help"
"""
EXPLORERS = ("squarecb", "epsilon_greedy", "softmax", "cover", "bag", "regcb", "rnd")
N = 300


def situations() -> list[Situation]:
    generator = np.random.default_rng(5)
    catalogue = ("hold", "sort", "help")
    return [
        Situation(
            defect=Defect("slow", float(generator.choice([0.25, 0.5])), 0.5),
            context={"device": str(generator.choice(["app", "web"])), "depth": float(generator.choice([0.1, 0.7]))},
            eligible=catalogue if generator.random() < 0.8 else ("hold", "help"),
        )
        for _ in range(N)
    ]


class Contexts:
    """What `score` needs of a log's contexts."""

    def __init__(self) -> None:
        self.rows = situations()
        self.asked = 0

    def situation(self, row, manifest):
        self.asked += 1
        return self.rows[row]

    def take(self, rows):
        return self


def served(explorer: str = "squarecb") -> tuple[ServedPolicy, Origin]:
    manifest = parse_manifest(MANIFEST.format(explorer=explorer), "bulk.toml")
    room, now = VowpalRoom(), datetime(2026, 1, 1, tzinfo=UTC)
    data = room.start(manifest)
    lineage = Lineage(
        policy=manifest.policy,
        policy_version=1,
        version=ModelVersion(1),
        branch=Branch.MAIN,
        parent=None,
        manifest_sha=ManifestSha("0" * 64),
        vw_build=room.build,
        after=0,
        up_to=1000,
        ledger_cut=0,
        erasure_cut=0,
        learned=1000,
        learned_total=1000,
    )
    model = Model(lineage=lineage, sha256="1" * 64, size_bytes=len(data), golden=(), created_at=now)
    release = PolicyVersion(
        policy=manifest.policy, version=1, manifest_sha=lineage.manifest_sha, stage=Stage.CANDIDATE, created_at=now
    )
    return ServedPolicy(release, manifest, model, room.load(manifest, data)), Origin(data, room)


def log(contexts: Contexts) -> ReplayLog:
    rounds = LoggedRounds(
        actions=("hold", "sort"),
        action=np.zeros(N, dtype=np.intp),
        propensity=np.full(N, 0.5),
        reward=np.zeros(N),
        logged_at=np.arange(N, dtype=np.float64),
    )
    manifest = served()[0].manifest
    return ReplayLog(name="log", rounds=rounds, reward_range=(0.0, 1.0), contexts=contexts, manifest=manifest)


@pytest.mark.parametrize("explorer", EXPLORERS)
def test_a_chunk_is_given_what_each_situation_is_given_alone(explorer: str) -> None:
    policy, _ = served(explorer)
    other, _ = served(explorer)
    scored, rows = Scored(policy), situations()
    given = [scored.vectors(chunk) for chunk in encoded_chunks(rows, 70)]
    # In another order, by another workspace: a prediction may not depend on those before it.
    alone = {index: distribution(other, rows[index]).probabilities for index in reversed(range(N))}
    assert np.concatenate([part.flat for part in given]).tolist() == [p for i in range(N) for p in alone[i]]
    assert [reason for part in given for reason in part.fallbacks] == [None] * N


class Counting:
    """A scorer that counts how often it is asked."""

    def __init__(self, scorer):
        self.scorer = scorer
        self.asked = 0

    def probabilities(self, situation):
        self.asked += 1
        return self.scorer.probabilities(situation)


@pytest.mark.parametrize(("kinds", "asked"), [(40, 40), (9_000, 10_000)])
def test_what_hardly_ever_repeats_is_not_remembered_for_long(kinds: int, asked: int) -> None:
    """Equal situations are scored once, as long as looking pays; the vectors are the same either way."""
    plain, _ = served()
    counted = Counting(plain.scorer)
    policy = ServedPolicy(plain.version, plain.manifest, plain.model, counted)
    rows = [
        Situation(defect=Defect("slow", (row % kinds) / 10_000, 0.5), context={}, eligible=("hold", "sort", "help"))
        for row in range(10_000)
    ]
    scored = Scored(policy)
    flat = np.concatenate([scored.vectors(chunk).flat for chunk in encoded_chunks(rows)])
    assert counted.asked == asked
    again = [distribution(policy, row).probabilities for row in rows[-1500:]]
    assert np.array_equal(flat[-4500:], np.concatenate(again))


def test_processes_give_the_same_digits() -> None:
    policy, origin = served()
    here = list(vectors(encoded_chunks(situations(), 40), policy, origin, 1))
    there = list(vectors(encoded_chunks(situations(), 40), policy, origin, 2))
    assert [part.flat.tolist() for part in there] == [part.flat.tolist() for part in here]


def test_a_log_is_scored_over_its_actions_and_then_those_only_the_candidate_has() -> None:
    policy, origin = served()
    contexts = Contexts()
    prepared = score(log(contexts), policy, silent, origin, Scoring(processes=2))
    assert prepared.log.rounds.actions == ("hold", "sort", "help")
    for row, situation in enumerate(contexts.rows):
        expected = dict(zip(situation.eligible, distribution(policy, situation).probabilities, strict=True))
        assert prepared.probabilities[row].tolist() == [expected.get(a, 0.0) for a in ("hold", "sort", "help")]


def test_scores_are_computed_once(tmp_path: Path) -> None:
    policy, origin = served()
    scoring = Scoring(shelf=ScoreShelf(tmp_path / "scores"))
    first, again = Contexts(), Contexts()
    computed = score(log(first), policy, silent, origin, scoring)
    found = score(log(again), policy, silent, origin, scoring)
    assert (first.asked, again.asked) == (N, 0)
    assert found.probabilities.tolist() == computed.probabilities.tolist()
    assert (found.notes, found.model_sha) == (computed.notes, computed.model_sha)
    assert found.log.rounds.actions == computed.log.rounds.actions


def test_what_scores_depend_on_is_in_their_key() -> None:
    policy, origin = served()
    rows = log(Contexts())
    key = score_key(rows, policy, origin.room.build)
    assert key == score_key(log(Contexts()), served()[0], origin.room.build)
    assert policy.model is not None
    relearned = policy.with_model(msgspec.structs.replace(policy.model, sha256="2" * 64), policy.scorer)
    renamed = msgspec.structs.replace(policy.version, manifest_sha=ManifestSha("3" * 64))
    others = [
        score_key(rows.take(np.arange(N - 1)), policy, origin.room.build),
        score_key(rows, relearned, origin.room.build),
        score_key(rows, ServedPolicy(renamed, policy.manifest, policy.model, None), origin.room.build),
        score_key(rows, policy, "another build"),
    ]
    assert len({key, *others}) == 5


def test_a_damaged_file_is_computed_again_and_old_ones_give_way(tmp_path: Path) -> None:
    shelf = ScoreShelf(tmp_path, most_bytes=2000)
    matrix = np.arange(100.0).reshape(50, 2)
    shelf.put("a", Scores(("x", "y"), matrix, {"cold_start": 3}))
    found = shelf.find("a")
    assert found is not None
    assert (found.probabilities.tolist(), found.fallbacks) == (matrix.tolist(), {"cold_start": 3})
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:300])
    assert shelf.find("a") is None
    shelf.put("b", Scores(("x", "y"), matrix, {}))
    shelf.put("c", Scores(("x", "y"), matrix, {}))
    shelf.put("d", Scores(("x", "y"), matrix, {}))
    assert shelf.find("d") is not None
    assert sum(file.stat().st_size for file in tmp_path.glob("*.npy")) <= 2000


def test_small_logs_are_scored_here() -> None:
    assert processes_for(1000) == 1
    assert processes_for(10**6) >= 1
