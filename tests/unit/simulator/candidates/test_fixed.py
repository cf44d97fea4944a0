"""Uniform over what was eligible, and tables that are checked before they are believed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog
from simulator.candidates import ActionTable, Uniform
from simulator.datasets.columns import laid_over
from simulator.datasets.log import ReplayLog
from simulator.progress import silent
from simulator.rounds import LoggedRounds


def a_log(position: list[int] | None = None, eligible: list[list[bool]] | None = None) -> ReplayLog:
    n = 3
    rounds = LoggedRounds(
        actions=("a", "b"),
        action=np.zeros(n, dtype=np.intp),
        propensity=np.full(n, 0.5),
        reward=np.array([0.0, 1.0, 0.0]),
        logged_at=np.arange(n, dtype=np.float64),
        position=None if position is None else np.array(position),
        eligible=None if eligible is None else np.array(eligible),
    )
    log = ImportedLog(name="log", kind="obd", source_sha256="", created_at=datetime.now(UTC), actions=("a", "b"))
    contexts: Any = None
    return ReplayLog(name="log", rounds=rounds, reward_range=(0, 1), contexts=contexts, manifest=laid_over(log, []))


def table(folder: Path, document: Any, key: str | None = None) -> ActionTable:
    path = folder / "table.json"
    path.write_text(json.dumps(document))
    return ActionTable.read("table:table.json", path, key)


def test_uniform_spreads_over_the_eligible_actions_only() -> None:
    assert Uniform().prepare(a_log(), silent).probabilities.tolist() == [[0.5, 0.5]] * 3
    prepared = Uniform().prepare(a_log(eligible=[[True, True], [True, False], [True, True]]), silent)
    assert prepared.probabilities.tolist() == [[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_row_gets_the_column_of_its_slot(tmp_path: Path, wrapped: bool) -> None:
    matrix = [[0.9, 0.2, 0.0], [0.1, 0.8, 1.0]]
    document = {"action_dist": matrix} if wrapped else matrix
    prepared = table(tmp_path, document).prepare(a_log(position=[2, 0, 1]), silent)
    assert prepared.probabilities.tolist() == [[0.0, 1.0], [0.9, 0.1], [0.2, 0.8]]


def test_one_of_several_tables_is_chosen_by_name(tmp_path: Path) -> None:
    document = {"action_dist": {"x": [[1.0], [0.0]], "y": [[0.25], [0.75]]}}
    assert table(tmp_path, document, "y").prepare(a_log(), silent).probabilities.tolist() == [[0.25, 0.75]] * 3
    with pytest.raises(InvalidInput, match="several tables"):
        table(tmp_path, document)
    with pytest.raises(InvalidInput, match="one table without a name"):
        table(tmp_path, [[1.0], [0.0]], "y")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([[0.5], [0.4]], "slot 0 sums to 0.9"),
        ([[1.5], [-0.5]], "action 1, slot 0: -0.5 is no probability"),
        ([[float("nan")], [1.0]], "action 0, slot 0: nan is no probability"),
        ([[float("inf")], [1.0]], "action 0, slot 0: inf is no probability"),
        ([[1.0, 0.0], [0.0]], "no matrix of numbers"),
        ([["a"], ["b"]], "no matrix of numbers"),
        ([], "has shape"),
        (1.0, "has shape"),
        ({"other": []}, 'without "action_dist"'),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused(tmp_path: Path, document: Any, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        table(tmp_path, document)
    assert reason in caught.value.detail


def test_a_table_must_have_the_shape_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="3 rows"):
        table(tmp_path, [[1.0], [0.0], [0.0]]).prepare(a_log(), silent)
    with pytest.raises(InvalidInput, match="has no slots"):
        table(tmp_path, [[1.0, 1.0], [0.0, 0.0]]).prepare(a_log(), silent)
    with pytest.raises(InvalidInput, match="the log 3 slots"):
        table(tmp_path, [[1.0, 1.0], [0.0, 0.0]]).prepare(a_log(position=[0, 1, 2]), silent)


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot read"):
        ActionTable.read("table:x", tmp_path / "x.json", None)
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(InvalidInput, match="no JSON"):
        ActionTable.read("table:y", tmp_path / "y.json", None)
