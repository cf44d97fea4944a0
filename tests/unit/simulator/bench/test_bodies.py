"""What is asked is what a manifest allows: distinct, seeded, refused by no rule."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.service.wire import DecisionBody, RewardBody
from simulator.bench import bodies
from simulator.bench.plan import manifest_of
from simulator.bench.scenes.catalogue import manifest_text
from simulator.bench.servers import POLICY, SHIPPED
from simulator.bench.taught import decided, lessons


def test_there_are_enough_and_hardly_any_twice() -> None:
    made = bodies.decisions(1, [manifest_of(POLICY)], features=False)
    assert len(made) == bodies.DISTINCT == 10_000
    assert len(set(made)) > 9_990
    assert made == bodies.decisions(1, [manifest_of(POLICY)], features=False)
    assert made != bodies.decisions(2, [manifest_of(POLICY)], features=False)


@pytest.mark.parametrize("path", [POLICY, *SHIPPED], ids=lambda path: path.stem)
def test_the_engine_admits_all_of_it(path) -> None:
    manifest = manifest_of(path)
    engine = in_memory_engine([(path.name, path.read_text("utf-8"))])
    decisions = decided(engine, manifest, 200, seed=1)
    assert {decision.policy for decision in decisions} == {manifest.policy}
    # All that a body brings is known to the manifest: nothing is dropped, so nothing is measured in vain.
    assert all(set(decision.situation.context) == set(manifest.context.features) for decision in decisions)


def test_bodies_are_the_contracts() -> None:
    manifest = manifest_of(POLICY)
    one = msgspec.json.decode(bodies.decisions(1, [manifest], features=True)[0], type=DecisionBody)
    assert one.interventions is not None
    assert len(one.interventions) == len(manifest.interventions) - 1
    batches = bodies.batches(1, manifest, 100)
    assert [len(json.loads(batch)["decisions"]) for batch in batches] == [100] * 100


def test_no_reward_is_sent_twice_and_every_decision_gets_its_turn() -> None:
    ids = [f"00000000-0000-7000-8000-{number:012d}" for number in range(30)]
    now = datetime.now(UTC)
    lists = bodies.rewards(ids, 20, now, 3, seed=1) + bodies.rewards(ids, 20, now, 3, seed=2)
    events = [event for one in lists for event in msgspec.json.decode(one, type=list[RewardBody])]
    assert len({event.reward_id for event in events}) == len(events) == 120
    assert {str(event.decision_id) for event in events[:60]} == set(ids)


@pytest.mark.parametrize("number", [10, 200])
def test_a_catalogue_has_as_many_interventions_as_asked(number) -> None:
    manifest = parse_manifest(manifest_text(number), "catalogue.toml")
    assert len(manifest.interventions) == number


def test_lessons_are_different_models() -> None:
    engine = in_memory_engine([("policy.toml", POLICY.read_text("utf-8"))])
    made = lessons(engine, manifest_of(POLICY), 3, 50)
    assert len(set(made)) == 3
