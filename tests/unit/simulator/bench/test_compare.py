"""A ratio that became a fifth worse is named; one that did not, or cannot be compared, is not."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from click.testing import CliRunner

from simulator.bench.__main__ import bench, merged
from simulator.bench.compare import falls
from simulator.bench.figures import Row, Sample, figure
from simulator.bench.report import Report, as_json, read_report


def report(**ratios) -> Report:
    """Figures by row name: a ratio, and `lower` before the name where lower is better."""
    figures = []
    for name, ratio in ratios.items():
        better = "lower" if name in {"tail", "decision_cpu"} else "higher"
        row = Row(name=name.replace("_", "-"), title=name, unit="/s", beside="bare", better=better)
        figures.append(figure(row, [Sample(1.0) if ratio is None else Sample(ratio, 1.0)]))
    return Report(
        at=datetime(2026, 1, 1, tzinfo=UTC),
        machine={"processors": "2"},
        versions={"python": "3.11"},
        rounds=1,
        seconds=1.0,
        load_average=(0.0, 0.0),
        figures=figures,
    )


@pytest.mark.parametrize(
    ("recorded", "made", "fell"),
    [
        (0.60, 0.481, []),
        (0.60, 0.479, ["decisions"]),
        (0.60, 6.0, []),
    ],
)
def test_more_than_a_fifth_is_a_fall(recorded, made, fell) -> None:
    assert [fall.name for fall in falls(report(decisions=recorded), report(decisions=made))] == fell


@pytest.mark.parametrize(("made", "fell"), [(2.4, []), (2.6, ["tail"]), (0.5, [])])
def test_where_lower_is_better_growing_is_falling(made, fell) -> None:
    assert [fall.name for fall in falls(report(tail=2.0), report(tail=made))] == fell


def test_only_rows_with_a_ratio_in_both_are_compared() -> None:
    assert falls(report(decisions=1.0, start=1.0), report(batch=0.1, start=None)) == []
    assert falls(report(start=None), report(start=0.1)) == []


def test_what_was_not_measured_again_stays_recorded() -> None:
    before, made = report(decisions=0.5, tail=2.0), report(decisions=0.7, batch=3.0)
    ratios = {one.row.name: one.ratio for one in merged(before, made).figures}
    assert ratios == {"decisions": 0.7, "tail": 2.0, "batch": 3.0}
    assert list(ratios) == ["decisions", "tail", "batch"]
    assert merged(None, made).figures == made.figures


def run(tmp_path, made, recorded, *options):
    (tmp_path / "made.json").write_text(as_json(made))
    if recorded is not None:
        (tmp_path / "recorded.json").write_text(as_json(recorded))
    places = ["--from", str(tmp_path / "made.json"), "--recorded", str(tmp_path / "recorded.json")]
    return CliRunner().invoke(bench, [*places, *options])


def test_a_fall_is_named_and_exits_1(tmp_path) -> None:
    done = run(tmp_path, report(decisions=0.3, batch=2.5), report(decisions=0.6, batch=2.5), "--compare")
    assert done.exit_code == 1
    assert "decisions: ratio 0.3, recorded 0.6: 50% worse" in done.output
    assert "batch: ratio" not in done.output


def test_no_fall_exits_0(tmp_path) -> None:
    done = run(tmp_path, report(decisions=0.55), report(decisions=0.6), "--compare")
    assert done.exit_code == 0, done.output


def test_comparing_with_nothing_is_bad_usage(tmp_path) -> None:
    assert run(tmp_path, report(decisions=0.5), None, "--compare").exit_code == 2


def test_recording_replaces_the_rows_measured(tmp_path) -> None:
    done = run(tmp_path, report(decisions=0.7), report(decisions=0.6, tail=2.0), "--record", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["figures"][0]["ratio"] == 0.7
    written = read_report(tmp_path / "recorded.json")
    assert [(one.row.name, one.ratio) for one in written.figures] == [("decisions", 0.7), ("tail", 2.0)]


def test_an_unknown_row_is_bad_usage() -> None:
    done = CliRunner().invoke(bench, ["decisons"])
    assert done.exit_code == 2
    assert "decisions" in done.output


def test_a_report_comes_back_as_it_was() -> None:
    made = report(decisions=0.5)
    assert msgspec.json.decode(as_json(made), type=Report) == made
