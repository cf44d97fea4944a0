"""The study's own document becomes the bench's row."""

import json
from pathlib import Path

import msgspec
import pytest

from simulator.bench.figures import figure
from simulator.bench.plan import Plan
from simulator.bench.scenes.quality import SCENE
from simulator.studies.quality_study import VW, Compared, Estimate, Study

ROW = SCENE.rows[0]


def measured(path: Path):
    return SCENE.measure(Plan(quality=path), frozenset({ROW.name})).get(ROW.name)


def document(path: Path, *pairs: tuple[float, float]) -> Path:
    sets = [
        Compared(
            name=f"set {number}",
            rows=100,
            seeds=3,
            rewards={"engine": Estimate(ours, 0.01), VW: Estimate(theirs, 0.01)},
            ratios={VW: Estimate(ours / theirs, 0.01)},
            differing=0,
        )
        for number, (ours, theirs) in enumerate(pairs)
    ]
    study = Study(segment=10, sets=sets, overall={VW: Estimate(1.0, 0.01)}, target=0.99, holds=True)
    path.write_text(json.dumps(msgspec.to_builtins(study)), "utf-8")
    return path


@pytest.mark.parametrize(("ours", "met"), [(0.6, True), (0.5, False)])
def test_a_sample_is_a_data_set(tmp_path, ours, met) -> None:
    samples = measured(document(tmp_path / "quality.json", (ours, 0.6), (ours, 0.6), (0.3, 0.3)))
    made = figure(ROW, samples)
    assert (made.samples, made.met) == (3, met)


def test_where_the_study_was_not_run_there_is_no_row(tmp_path) -> None:
    assert measured(tmp_path / "quality.json") is None
