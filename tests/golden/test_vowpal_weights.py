"""What is said to have moved a score adds up to the very score that VW itself gives."""

import math
from collections.abc import Sequence

import pytest
from vowpalwabbit import pyvw

from cxi_bandit.domain.decision import Situation
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.vowpal import VowpalRoom
from cxi_bandit.vowpal.arguments import workspace_arguments
from cxi_bandit.vowpal.encoding import ACTION, SHARED, Encoding
from cxi_bandit.vowpal.weights import effective_interactions
from cxi_bandit.vowpal.workspace import action_scores, example, open_workspace
from tests.golden.test_vowpal_encoding import EXPLORERS, MANIFEST, decisions, lessons

SINGLE_PRECISION = 2e-6
INTERACTIONS = [
    ("SA",),
    ("AS",),
    ("SSA",),
    ("SAS", "SA"),
    ("SAA", "AA"),
    ("AAA", "SSS", "SS"),
    ("SA", "AS"),
    ("AS", "SSA", "ASS", "SA", "SA"),
]


def manifest_of(explorer: str, interactions: Sequence[str] = ("SA",)) -> Manifest:
    asked = ", ".join(f'"{one}"' for one in interactions)
    return parse_manifest(MANIFEST.format(explorer=EXPLORERS[explorer]) + f"interactions = [{asked}]\n", "golden.toml")


def scores(manifest: Manifest, data: bytes, situation: Situation) -> list[float]:
    """VW's own score of each intervention: the cost that the model evaluated last expects."""
    workspace, encoding = open_workspace(workspace_arguments(manifest), data), Encoding(manifest)
    shared = example(workspace, {SHARED: encoding.shared(situation.defect, situation.context)}, "shared")
    actions = [example(workspace, {ACTION: encoding.action(situation, name)}) for name in situation.eligible]
    action_scores(workspace, [shared, *actions])
    return [pyvw.pylibvw.example.get_partial_prediction(one) for one in actions]


@pytest.mark.golden
@pytest.mark.parametrize("interactions", INTERACTIONS)
@pytest.mark.parametrize("explorer", ["squarecb", "epsilon_greedy", "softmax", "regcb", "rnd", "bag"])
def test_contributions_add_up_to_the_score(explorer: str, interactions: Sequence[str]):
    manifest, room = manifest_of(explorer, interactions), VowpalRoom()
    data = room.learn(manifest, room.start(manifest), lessons(decisions(200)))
    scorer, low = room.load(manifest, data), manifest.reward.min
    for situation in [decision.situation for decision in decisions(6)]:
        estimates = scorer.estimates(situation)
        # The reward's range is [0, 1] here, so what is expected is minus the cost.
        for expected, score in zip(estimates[-1], scores(manifest, data, situation), strict=True):
            assert expected == pytest.approx(-score, abs=SINGLE_PRECISION)
        assert len(estimates) == (5 if explorer == "bag" else 1)
        for place, name in enumerate(situation.eligible):
            parts = scorer.contributions(situation, name)
            mean = math.fsum(vector[place] for vector in estimates) / len(estimates)
            assert low + math.fsum(part.amount for part in parts) == pytest.approx(mean, abs=1e-9)
            assert [abs(part.amount) for part in parts] == sorted((abs(part.amount) for part in parts), reverse=True)


def test_the_regression_below_a_cover_is_the_one_that_is_read():
    """No call of VW's gives it alone; without the cover's own models, the same rows teach nearly the same."""
    room, read = VowpalRoom(), {}
    for explorer in ("cover", "softmax"):
        manifest = manifest_of(explorer)
        data = room.learn(manifest, room.start(manifest), lessons(decisions(300)))
        scorer = room.load(manifest, data)
        read[explorer] = [scorer.estimates(one.situation)[0] for one in decisions(20)]
    for one, other in zip(read["cover"], read["softmax"], strict=True):
        assert one == pytest.approx(other, abs=0.1)


def test_a_feature_names_itself_and_the_constant_too():
    manifest, room = manifest_of("squarecb"), VowpalRoom()
    data = room.learn(manifest, room.start(manifest), lessons(decisions(50)))
    situation = decisions(1)[0].situation
    named = {part.feature for part in room.load(manifest, data).contributions(situation, situation.eligible[1])}
    assert {"(constant)", "id=relax_query", "strength"} <= named
    assert "defect=zero_results x id=relax_query" in named


def test_interactions_that_vw_takes_for_one_are_one():
    assert effective_interactions(["SA", "AS", "SA"]) == ["AS"]
    assert effective_interactions(["SAS", "SSA", "SA"]) == ["ASS", "SA"]
