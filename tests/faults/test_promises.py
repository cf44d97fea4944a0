"""A few trials of every kind; `make faults` makes many of them."""

import pytest

from tests.faults import durable, late_commits, learner_kills
from tests.faults.proof import Prove
from tests.harness.ground import Ground


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("prove", "trials"),
    [
        pytest.param(durable.prove, len(durable.STRIKES), id="durable"),
        pytest.param(learner_kills.prove, 6, id="learner-kills"),
        pytest.param(late_commits.prove, 300, id="late-commits"),
    ],
)
def test_nothing_is_lost(prove: Prove, trials: int, ground: Ground) -> None:
    proof = prove(trials, ground, lambda _: None)
    assert proof.holds, [*proof.notes, *map(str, proof.figures)]
