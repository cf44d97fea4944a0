"""`cxi-bandit export` and `import`: a log leaves, comes back under another name, and is worth the same."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.postgres import PostgresStore
from simulator.manifests import shipped_texts

SHIPPED = Path(__file__).resolve().parents[1] / "data" / "obd"


@pytest.fixture
def run(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def report(run, log: str) -> dict[str, Any]:
    _, out, err = run("replay", "--log", log, "--candidate", "uniform", "--json")
    assert out, err
    return json.loads(out)


def live_log(store: PostgresStore) -> None:
    """Eight hundred decisions of the shipped search policy; shoppers come twice."""
    clock = iter(datetime(2026, 1, 5, tzinfo=UTC) + timedelta(minutes=minute) for minute in range(2000))
    engine = build_engine(store, clock=lambda: next(clock))
    install(store.registry, [("search.toml", shipped_texts()["search.toml"])], engine.clock(), "test")
    engine.serving.refresh()
    defects = list(next(iter(engine.serving.policies)).manifest.defects)
    decisions = []
    for number in range(800):
        request = DecisionRequest(
            surface="search",
            defect=Defect(type=defects[number % len(defects)], severity=0.5, confidence=number / 800),
            context={"device": "app" if number % 2 else "mobile", "cart_value": number / 3},
            subject=f"shopper-{number // 2}",
        )
        served = engine.serving.route(request)
        now = engine.mint.mint(engine.clock())
        decisions.append(decide(request, admit(request, served), served, now, engine.draw_key, engine.subject_key))
    store.decisions.append([DecisionEntry(decision) for decision in decisions])
    join(store.outcomes, engine.manifests, decisions[-1].closes_at + timedelta(days=1), timedelta(0))


@pytest.mark.parametrize("form", ["parquet", "dsjson"])
def test_an_imported_log_comes_back(run, form: str, tmp_path: Path) -> None:
    file, out = SHIPPED / "bts-men.csv.gz", tmp_path / f"log.{form}"
    assert run("import", "obd", file, "--items", SHIPPED / "items-men.csv.gz", "--log", "first")[0] == 0
    code, said, err = run("export", "--log", "first", "--format", form, "--out", out, "--json")
    assert code == 0, err
    assert json.loads(said)["rows"] == 10_000
    code, _, err = run("import", form, out, "--log", "second")
    assert code == 0, err
    first, second = report(run, "first"), report(run, "second")
    # A DSJSON file knows only actions somebody saw, in the order it shows them.
    assert second["estimates"] == first["estimates"]
    assert second["diagnostics"]["n"] == 10_000


@pytest.mark.parametrize("form", ["parquet", "dsjson"])
def test_a_live_log_comes_back_with_its_vectors_and_shoppers(
    run, form: str, postgres_store: PostgresStore, tmp_path: Path
) -> None:
    live_log(postgres_store)
    out = tmp_path / f"log.{form}"
    code, _, err = run("export", "--log", "search", "--format", form, "--out", out)
    assert code == 0, err
    extra = [] if form == "parquet" else ["--reward-range", "-3", "15"]
    code, _, err = run("import", form, out, "--log", "copy", *extra)
    assert code == 0, err
    live, copy = report(run, "search"), report(run, "copy")
    for name, estimate in live["estimates"].items():
        assert copy["estimates"][name]["value"] == pytest.approx(estimate["value"], rel=1e-12, abs=1e-15), name
    for name in ("n", "subjects", "ess", "predicted_ess", "mean_weight", "max_weight", "unsupported_mass"):
        assert copy["diagnostics"][name] == pytest.approx(live["diagnostics"][name], rel=1e-12), name


def test_vowpal_wabbit_reads_what_is_exported(run, postgres_store: PostgresStore, tmp_path: Path) -> None:
    live_log(postgres_store)
    out = tmp_path / "log.dsjson"
    assert run("export", "--log", "search", "--format", "dsjson", "--out", out)[0] == 0
    arguments = ["--dsjson", "--cb_explore_adf", "--cb_type", "ips", "-d", str(out), "--strict_parse"]
    done = subprocess.run(
        [sys.executable, "-m", "vowpalwabbit", *arguments], capture_output=True, text=True, check=True, timeout=100
    )
    seen = re.search(r"number of examples = (\d+)", done.stdout + done.stderr)
    assert seen is not None
    assert int(seen[1]) == 800
    assert "error" not in done.stderr.lower()


def test_a_bad_file_imports_nothing_and_the_name_stays_free(run, tmp_path: Path) -> None:
    table, mapping = tmp_path / "log.csv", tmp_path / "mapping.toml"
    mapping.write_text('[columns]\naction = "a"\npropensity = "p"\nreward = "r"\n')
    table.write_text("a,p,r\nx,0.5,1\ny,,0\n")
    code, _, err = run("import", "table", table, "--mapping", mapping, "--log", "mine")
    assert code == 2
    assert "row 2: p is missing" in err
    assert run("replay", "--log", "mine", "--candidate", "uniform")[0] == 2
    table.write_text("a,p,r\nx,0.5,1\ny,0.5,0\n")
    code, out, err = run("import", "table", table, "--mapping", mapping, "--log", "mine", "--json")
    assert code == 0, err
    assert json.loads(out)["rows"] == 2
    assert run("export", "--log", "nothing", "--out", tmp_path / "x")[0] == 2
    assert not (tmp_path / "x").exists()
