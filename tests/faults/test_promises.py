"""A few trials of most kinds; `make faults` makes many, and fills disks, slows links and overloads besides."""

from functools import partial

import pytest

from tests.faults import (
    bad_models,
    clocks,
    durable,
    idempotency,
    instances,
    late_commits,
    learner_kills,
    outage,
    rewards,
    whole_loop,
)
from tests.faults.proof import Prove
from tests.harness.ground import Ground


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("prove", "trials"),
    [
        pytest.param(partial(whole_loop.prove, derandomize=True), 8, id="whole-loop"),
        pytest.param(durable.prove, len(durable.STRIKES), id="durable"),
        pytest.param(idempotency.prove, 2, id="idempotency"),
        pytest.param(rewards.prove, 320, id="rewards"),
        pytest.param(learner_kills.prove, 3, id="learner-kills"),
        pytest.param(late_commits.prove, 200, id="late-commits"),
        pytest.param(outage.prove, 2, id="outage"),
        pytest.param(clocks.prove, 60, id="clocks"),
        pytest.param(bad_models.prove, 3, id="bad-models"),
        pytest.param(instances.prove, 1, id="instances"),
    ],
)
def test_nothing_is_lost(prove: Prove, trials: int, ground: Ground) -> None:
    proof = prove(trials, ground, lambda _: None)
    assert proof.holds, [*proof.notes, *map(str, proof.figures)]
