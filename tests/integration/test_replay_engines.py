"""`cxi-bandit replay --engine`: partitions, wherever they are worked on, and scores that are kept."""

import json
from pathlib import Path

import pytest

from cxi_bandit.cli import main

SHIPPED = Path(__file__).resolve().parents[1] / "data" / "obd"


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["replay", "--log", "men", "--candidate", "uniform", "--json", *arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out or captured.err


def test_every_engine_says_the_same(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    file, items = SHIPPED / "random-men.csv.gz", SHIPPED / "items-men.csv.gz"
    assert main(["import", "obd", str(file), "--items", str(items), "--log", "men"]) == 0
    capsys.readouterr()
    code, whole = replayed(capsys)
    assert code == 0
    (_, here), (_, there) = replayed(capsys, "--engine", "one-process"), replayed(capsys, "--engine", "processes")
    assert here == there
    for name, estimate in json.loads(whole)["estimates"].items():
        in_parts = json.loads(here)["estimates"][name]
        assert in_parts["value"] == pytest.approx(estimate["value"], rel=1e-12)
        assert in_parts["interval"] == pytest.approx(estimate["interval"], rel=1e-9)
    code, complaint = replayed(capsys, "--engine-workers", "2")
    assert code == 2
    assert "goes with --engine" in complaint
