"""Receipts execute again whoever chose; the whole study does the same with 100,000."""

import msgspec
import pytest

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


def _of(ran: LoopResult, decisions: list[Decision]) -> LoopResult:
    return LoopResult(
        decisions=decisions,
        tally=ran.tally,
        store=ran.store,
        keyring=ran.keyring,
        manifests=ran.manifests,
        room=ran.room,
    )
