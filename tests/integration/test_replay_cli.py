"""`cxi-bandit import obd` and `cxi-bandit replay` as a person or a script runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

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

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "tests" / "data" / "obd"
ORACLE: dict[str, Any] = json.loads((SHIPPED / "obd.json").read_text())
FOUR = {"ips": "ipw", "snips": "snipw", "dm": "dm", "dr": "dr"}


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def started(environment: dict[str, str], *arguments: str | Path) -> Done:
    """The installed command in a process of its own, as a script starts it."""
    command = [str(Path(sys.executable).with_name("cxi-bandit")), *map(str, arguments)]
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        command, env={**kept, **environment}, capture_output=True, text=True, timeout=200, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cxi_bandit(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: most of a process's time is spent on importing."""
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)

    def run(*arguments: str | Path) -> Done:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


def imported(cxi_bandit: Run, behavior: str) -> None:
    done = cxi_bandit(
        "import", "obd", SHIPPED / f"{behavior}-men.csv.gz", "--items", SHIPPED / "items-men.csv.gz", "--log", behavior
    )
    assert done.returncode == 0, done.stderr
    assert "10,000 rows" in done.stdout


@pytest.mark.parametrize(("behavior", "evaluation"), [("random", "bts"), ("bts", "random")])
def test_import_then_replay_as_json(cxi_bandit: Run, behavior: str, evaluation: str) -> None:
    imported(cxi_bandit, behavior)
    table = f"table:{SHIPPED / 'obd.json'}#{evaluation}-men"
    done = cxi_bandit("replay", "--log", behavior, "--candidate", table, "--reward-model", "smoothed-mean", "--json")
    document = json.loads(done.stdout)
    (oracle,) = [r for r in ORACLE["rows"] if (r["behavior"], r["campaign"]) == (behavior, "men")]
    assert list(document) == ["log", "candidate", "estimates", "diagnostics", "verdict"]
    for name, theirs in FOUR.items():
        assert document["estimates"][name]["value"] == pytest.approx(oracle["estimates_obp_0.5.7"][theirs], abs=1e-9)
    # A reward ESS below 30 refuses: fifteen matching clicks cannot tell.
    assert document["verdict"]["decision"] == "refuse"
    assert "reward_ess" in {reason["code"] for reason in document["verdict"]["reasons"]}
    assert done.returncode == 1


def test_people_get_the_verdict_first_and_no_number_where_it_is_refused(cxi_bandit: Run) -> None:
    imported(cxi_bandit, "random")
    good = cxi_bandit("replay", "--log", "random", "--candidate", "uniform")
    assert good.returncode == 0, good.stderr
    assert good.stdout.index("Verdict") < good.stdout.index("Estimated mean reward") < good.stdout.index("Diagnostics")
    refused = cxi_bandit("replay", "--log", "random", "--candidate", f"table:{SHIPPED / 'obd.json'}#bts-men")
    assert refused.returncode == 1
    assert "Verdict: refuse" in refused.stdout
    assert "Estimated mean reward" not in refused.stdout


def test_a_bad_row_imports_nothing_and_the_name_stays_free(cxi_bandit: Run, tmp_path: Path) -> None:
    header = "timestamp,item_id,position,click,propensity_score,user-item_affinity_0"
    good, bad = "2019-11-24 00:01:03+00:00,0,1,0,0.5,0", "2019-11-24 00:01:03+00:00,0,9,0,0.5,0"
    path = tmp_path / "log.csv"
    path.write_text(f"{header}\n{good}\n{bad}\n{good}\n{bad}" + "\n")
    refused = cxi_bandit("import", "obd", path, "--log", "mine")
    assert refused.returncode == 2
    assert "line 3: position 9 is not within 1 to 3" in refused.stderr
    assert "line 5: position 9" in refused.stderr
    assert cxi_bandit("replay", "--log", "mine", "--candidate", "uniform").returncode == 2
    path.write_text(f"{header}\n{good}\n{good}" + "\n")
    assert json.loads(cxi_bandit("import", "obd", path, "--log", "mine", "--json").stdout)["rows"] == 2
    taken = cxi_bandit("import", "obd", path, "--log", "mine")
    assert taken.returncode == 2
    assert "imported already" in taken.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--log", "nothing", "--candidate", "uniform"), "no log"),
        (("--log", "nothing", "--candidate", "best"), "is none of uniform, table:FILE.json"),
        (("--log", "nothing", "--candidate", "model:search"), "model:POLICY@VERSION"),
        (("--log", "nothing", "--candidate", "model:search@1"), "no model"),
        (("--log", "nothing", "--candidate", "table:missing.json"), "cannot read missing.json"),
        (("--log", "nothing", "--candidate", "uniform", "--confidence", "1.5"), "--confidence"),
        (("--candidate", "uniform"), "--log"),
    ],
)
def test_bad_usage_is_one_clear_complaint(cxi_bandit: Run, arguments: tuple[str, ...], words: str) -> None:
    done = cxi_bandit("replay", *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_without_a_database_url_the_data_dir_has_one(tmp_path: Path) -> None:
    environment = {"CXI_BANDIT_DATA_DIR": str(tmp_path / "data")}
    done = started(environment, "import", "obd", SHIPPED / "bts-men.csv.gz", "--log", "bts", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 10_000
    table = f"table:{SHIPPED / 'obd.json'}#random-men"
    again = started(environment, "replay", "--log", "bts", "--candidate", table, "--json")
    assert again.returncode == 1, again.stderr
    assert json.loads(again.stdout)["diagnostics"]["n"] == 10_000
    assert again.stderr == ""


def test_a_policys_live_log_is_replayed_by_the_policys_name(cxi_bandit: Run, postgres_store: PostgresStore) -> None:
    clock = iter(datetime(2026, 1, 5, tzinfo=UTC) + timedelta(minutes=minute) for minute in range(1000))
    engine = build_engine(postgres_store, clock=lambda: next(clock))
    install(postgres_store.registry, [("search.toml", shipped_texts()["search.toml"])], engine.clock(), "test")
    engine.serving.refresh()
    defect = next(iter(next(iter(engine.serving.policies)).manifest.defects))
    decisions = []
    for number in range(400):
        request = DecisionRequest(
            surface="search", defect=Defect(type=defect, severity=0.5, confidence=0.5), subject=f"shopper-{number}"
        )
        served = engine.serving.route(request)
        now = engine.mint.mint(engine.clock())
        decisions.append(decide(request, admit(request, served), served, now, engine.draw_key, engine.subject_key))
    postgres_store.decisions.append([DecisionEntry(decision) for decision in decisions])
    join(postgres_store.outcomes, engine.manifests, decisions[-1].closes_at + timedelta(days=1), timedelta(0))

    done = cxi_bandit("replay", "--log", "search", "--candidate", "uniform", "--json")
    document = json.loads(done.stdout)
    assert document["diagnostics"]["n"] == 400
    assert document["diagnostics"]["subjects"] == 400
    assert document["diagnostics"]["rescoring_gap"] == 0.0
    # No gate was asked, so there is no go; the evaluation itself was done.
    # Not one reward event arrived: prices are no evidence, whatever their number.
    assert document["diagnostics"]["reward_ess"] == 0.0
    assert document["verdict"]["decision"] == "refuse"
    assert "reward_ess" in {reason["code"] for reason in document["verdict"]["reasons"]}
    assert done.returncode == 1

    taken = cxi_bandit("import", "obd", SHIPPED / "bts-men.csv.gz", "--log", "search")
    assert taken.returncode == 2
    assert "is a policy" in taken.stderr
