"""Receipts execute again whoever chose; the whole study does the same with 100,000."""

import msgspec
import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from simulator.loop import LoopResult
from simulator.studies.reexecution_study import eventful_run, executed_again


@pytest.fixture(scope="module")
def ran() -> LoopResult:
    return eventful_run(2000, seed=3)


def test_every_receipt_of_an_eventful_run_executes_again(ran: LoopResult) -> None:
    found = executed_again(ran)
    assert found.identical, found.verdicts
    assert set(found.arms) == {"live", "hold", "previous", "canary"}
    assert set(found.sources) == {"model", "cold_start", "hold_arm", "override", "apprentice"}
    assert found.beside > 1000
    assert found.weighed == found.sources["model"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"u": 0.123456789},
        {"propensity": 0.123456789},
        {"intervention": "nobody drew this"},
        {"probabilities": (1.0,)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_row_that_was_changed_is_found_different(ran: LoopResult, wrong: dict[str, object]) -> None:
    plain: Decision = next(one for one in ran.decisions if one.model_version is not None)
    forged = msgspec.structs.replace(plain, **wrong)
    assert not executed_again(_of(ran, [forged])).identical


@pytest.mark.parametrize(
    "wrong", [{"arm": Arm.PREVIOUS}, {"share": 0.5}, {"salt": "another"}, {"revision": 999}], ids=str
)
def test_an_arm_that_no_hash_gave_is_found_different(ran: LoopResult, wrong: dict[str, object]) -> None:
    decision, assignment = next(
        (one, one.assignment) for one in ran.decisions if one.assignment is not None and one.assignment.arm is Arm.LIVE
    )
    forged = msgspec.structs.replace(decision, assignment=msgspec.structs.replace(assignment, **wrong))
    assert executed_again(_of(ran, [decision])).identical
    assert not executed_again(_of(ran, [forged])).identical


@pytest.mark.parametrize("override_id", [None, 999])
def test_a_pin_that_nobody_made_is_found_different(ran: LoopResult, override_id: int | None) -> None:
    pinned = next(one for one in ran.decisions if one.override_id is not None and len(one.probabilities) > 1)
    other = next(name for name in pinned.situation.eligible if name != pinned.intervention)
    certain = tuple(float(name == other) for name in pinned.situation.eligible)
    forged = msgspec.structs.replace(pinned, intervention=other, probabilities=certain)
    if override_id is not None:
        forged = msgspec.structs.replace(pinned, override_id=override_id)
    assert executed_again(_of(ran, [pinned])).identical
    assert not executed_again(_of(ran, [forged])).identical


def _of(ran: LoopResult, decisions: list[Decision]) -> LoopResult:
    return LoopResult(
        decisions=decisions,
        tally=ran.tally,
        store=ran.store,
        keyring=ran.keyring,
        manifests=ran.manifests,
        room=ran.room,
    )
