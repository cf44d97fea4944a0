"""What stands beside plain choosing is in force: every arm, every vector, every limit, and no pin chooses."""

import random
from collections import Counter

import pytest

from cxi_bandit.domain.assignment import Arm
from simulator.bench.plan import Plan, manifest_of
from simulator.bench.scenes import choosing
from simulator.bench.servers import POLICY


@pytest.fixture(scope="module")
def profiles():
    return choosing.profiles(POLICY.read_text("utf-8"))


def asked(count):
    seeded = random.Random(1)
    return [choosing._request(seeded, manifest_of(POLICY)) for _ in range(count)]


def test_plainly_a_model_chooses_and_nobody_scores_beside_it(profiles):
    decisions = [profiles[0].choose(request) for request in asked(20)]
    assert {(one.assignment, one.fallback) for one in decisions} == {(None, None)}


@pytest.mark.parametrize("place", [1, 2])
def test_rolled_out_every_arm_answers_somebody_and_all_others_score(profiles, place):
    decisions = [profiles[place].choose(request) for request in asked(200)]
    arms = Counter(one.assignment.arm for one in decisions)
    assert set(arms) == set(Arm)
    assert {(one.assignment.arm is Arm.HOLD, len(one.assignment.beside)) for one in decisions} == {
        (True, 0),
        (False, 3),
    }
    assert {one.override_id for one in decisions} == {None}
    assert profiles[place].overrides.stand_at(profiles[place].engine.clock())


def test_limits_are_asked(profiles):
    limited = profiles[2]
    assert limited.routed.capped

    class Nothing:
        def left(self, _):
            return 0

    poor = limited._replace(leases=Nothing())
    assert {poor.choose(request).intervention for request in asked(20)} == {"hold"}


@pytest.mark.parametrize("place", [1, 2])
def test_the_yardstick_scores_as_many_vectors_as_are_logged(profiles, place):
    seen = set()
    for request in asked(200):
        decision = profiles[place].choose(request)
        further = choosing._further(profiles[place], decision)
        simply = profiles[0].simply((request, further))
        assert simply.decision.assignment is None
        seen.add((further is None, len(simply.vectors), simply.decision.model_version is None))
        scored = [one.scorer for one in further or ()]
        assert len(set(scored)) == len(scored), "each by a model of its own"
    assert seen == {(True, 0, True), (False, 3, False)}


def test_it_says_what_each_row_asks_for():
    made = choosing.SCENE.measure(Plan(rounds=2), frozenset(["choosing-limited"]))
    assert set(made) == {"choosing-limited"}
    assert [one.refused for one in made["choosing-limited"]] == [0, 0]
    assert all(one.measured > 0 and one.against for one in made["choosing-limited"])
