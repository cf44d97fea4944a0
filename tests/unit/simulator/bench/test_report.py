"""The table says what was measured, where, with what, and whether it is enough."""

from io import StringIO

from rich.console import Console

from simulator.bench.figures import Row, Sample, at_least, at_most, figure
from simulator.bench.report import report, show, target_words, versions


def shown(*figures) -> str:
    out = StringIO()
    show(report(figures, rounds=15, seconds=1.0, load_before=0.25), Console(file=out, width=200))
    return out.getvalue()


def row(**changes) -> Row:
    fields = {"name": "tail", "title": "p99", "unit": "ms", "beside": "bare handler", "better": "lower"}
    return Row(**{**fields, **changes})


def test_it_names_machine_versions_and_rounds() -> None:
    text = shown(figure(row(), [Sample(4.0, 2.0)]))
    assert "15 interleaved rounds, loads of 1 s" in text
    assert f"granian {versions()['granian']}" in text
    assert "load 0.25 before" in text


def test_a_line_has_the_numbers_their_targets_and_the_verdict() -> None:
    targets = (at_most(2.5), at_most(5.0, of="measured"))
    good = shown(figure(row(targets=targets), [Sample(4.0, 2.0)]))
    assert all(words in good for words in ("4 ms", "bare handler: 2", "2.00", "≤ 2.5, ≤ 5 ms", "yes"))
    assert "NO" in shown(figure(row(targets=targets), [Sample(6.0, 4.0)]))
    assert "NO (3 refused)" in shown(figure(row(targets=targets), [Sample(4.0, 2.0, refused=3)]))


def test_what_stands_for_itself_has_no_ratio() -> None:
    line = next(line for line in shown(figure(row(beside=None), [Sample(1.5)])).splitlines() if "tail" in line)
    assert line.count(" - ") == 4  # beside, ratio, target, met


def test_targets_are_said_in_their_unit() -> None:
    assert target_words(at_least(15_000.0, of="measured"), "/s") == "≥ 15,000 /s"
    assert target_words(at_least(0.6), "/s") == "≥ 0.6"
