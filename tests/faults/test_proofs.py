"""Proofs that can fail: what is lost on purpose is found, counted, told and ends in exit code 1."""

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import IdempotencyConflict
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.memory import MemoryStore
from cxi_bandit.store.postgres import PostgresStore
from tests.faults import __main__ as runner
from tests.faults import durable, whole_loop
from tests.faults.proof import Figure, Losses, Promise, Proof, percentile
from tests.harness.ground import Ground
from tests.harness.load import Answer, Fate, Request


def test_a_proof_holds_when_something_was_tried_nothing_lost_and_every_figure_is_within_its_bounds() -> None:
    assert Proof(trials=3, losses=0).holds
    assert not Proof(trials=0, losses=0).holds
    assert not Proof(trials=3, losses=1).holds
    slow = Figure(name="back after", value=4.0, unit="s", at_most=3.0)
    assert not Proof(trials=3, losses=0, figures=(slow,)).holds
    assert not Proof(trials=3, losses=0, figures=(Figure(name="share", value=0.5, at_least=0.8),)).holds
    assert str(slow) == "back after 4 s (≤ 3)"
    both = Proof(trials=1, losses=1, notes=("a",)) + Proof(trials=2, losses=0, figures=(slow,), notes=("b",))
    assert both == Proof(trials=3, losses=1, figures=(slow,), notes=("a", "b"))


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 99.0
    assert percentile([], 0.99) == 0.0


def failing(trials: int, _ground: Ground, tell: object) -> Proof:
    raise LookupError("the proof fell over")


def losing(trials: int, _ground: Ground, tell: object) -> Proof:
    losses = Losses()
    losses.add("one was lost")
    return losses.proof(trials)


def holding(trials: int, _ground: Ground, tell: object) -> Proof:
    return Proof(trials=trials, losses=0)


@pytest.mark.parametrize(
    ("only", "code", "trials"), [(["1"], 0, [3]), (["2"], 1, [3]), (["3"], 1, [0]), (["1", "2"], 1, [3, 3])]
)
def test_the_runner_tells_people_and_programs_and_ends_as_it_should(
    only: list[str],
    code: int,
    trials: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proofs = (holding, losing, failing)
    table = [Promise(at, f"promise {at}", "trials", prove, 3, 9) for at, prove in enumerate(proofs, 1)]
    monkeypatch.setattr(runner, "PROMISES", table)
    report = tmp_path / "faults.json"
    chosen = [word for number in only for word in ("--only", number)]
    assert runner.main([*chosen, "--json", str(report)]) == code
    told = capsys.readouterr().out
    assert ("BROKEN" in told) == bool(code)
    written = json.loads(report.read_text())
    assert written["holds"] == (code == 0)
    assert [line["proof"]["trials"] for line in written["promises"]] == trials
    assert all(f"promise {number}" in told for number in only)


def test_an_unknown_promise_is_bad_usage() -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(["--only", "99"])
    assert ended.value.code == 2


class Forgetful(MemoryStore):
    """Acknowledges every decision, and forgets every fifth."""

    def __init__(self) -> None:
        super().__init__()
        self.decisions.append = self._append
        self._appended = 0

    def _append(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        answers = type(self.decisions).append(self.decisions, entries)
        self._appended += 1
        if self._appended % 5 == 0:
            self.decisions.rows.pop(entries[0].decision.decision_id, None)
        return answers


def test_a_store_that_forgets_is_found_out() -> None:
    assert whole_loop.live(Forgetful, 20, lambda _: None, derandomize=True, shrink=False).losses == 1


def test_an_acknowledged_decision_that_is_not_in_the_log_is_a_loss(
    postgres_store: PostgresStore, postgres_dsn: str
) -> None:
    lost = {"decision_id": str(uuid4()), "intervention": "hold", "propensity": 0.5, "durability": "committed"}
    taken = {"results": [{"reward_id": "r", "status": "accepted"}]}
    answers = [
        Answer(Request("/v1/decisions", {}), Fate.ANSWERED, 0.0, 0.0, 201, b"", json.dumps(lost).encode()),
        Answer(Request("/v1/rewards", {}, name="r"), Fate.ANSWERED, 0.0, 0.0, 202, b"", json.dumps(taken).encode()),
    ]
    losses = Losses()
    durable.compare(answers, postgres_dsn, losses, patience_seconds=0.1)
    assert losses.count == 2
    assert "not in the log" in losses.notes[0]
