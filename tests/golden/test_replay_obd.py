"""The whole way, file to store to report, against estimates of the Open Bandit sample that nobody here computed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.vowpal import VowpalRoom
from simulator.candidates import Parts, parse_candidate
from simulator.candidates.candidate import Candidate
from simulator.datasets.imported import read_imported
from simulator.datasets.log import ReplayLog
from simulator.datasets.open_bandit import OpenBanditFile
from simulator.replay import ReplaySettings, replay
from simulator.report import as_json

pytestmark = pytest.mark.golden

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "tests" / "data" / "obd"
LARGE = ROOT.parent / "shared" / "data" / "obd"
ORACLE: dict[str, Any] = json.loads((SHIPPED / "obd.json").read_text())
OBP = {"ips": "ipw", "snips": "snipw", "dm": "dm", "dr": "dr", "sndr": "sndr"}


@pytest.fixture(params=ORACLE["rows"], ids=lambda row: f"{row['behavior']}-{row['evaluation']}-{row['campaign']}")
def row(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


@pytest.fixture
def log(row: dict[str, Any], postgres_store: PostgresStore) -> ReplayLog:
    folder = SHIPPED if row["campaign"] == "men" else LARGE
    path = folder / f"{row['behavior']}-{row['campaign']}.csv.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not shipped with the project; put the Open Bandit sample into {LARGE}")
    source = OpenBanditFile(path, folder / f"items-{row['campaign']}.csv.gz")
    written = postgres_store.imported.write(
        source.describe("obd", datetime.now(UTC)), (impression.as_round() for impression in source.rows())
    )
    assert written == row["n"]
    return read_imported(postgres_store.imported, "obd")


@pytest.fixture
def candidate(row: dict[str, Any], postgres_store: PostgresStore) -> Candidate:
    spec = f"table:{SHIPPED / 'obd.json'}#{row['evaluation']}-{row['campaign']}"
    return parse_candidate(spec, Parts(registry=postgres_store.registry, room=VowpalRoom()))


def test_replay_equals_the_oracle(row: dict[str, Any], log: ReplayLog, candidate: Candidate) -> None:
    document = json.loads(as_json(replay(log, candidate)))
    for name, theirs in OBP.items():
        expected = row["estimates_obp_0.5.7"][theirs]
        assert document["estimates"][name]["value"] == pytest.approx(expected, abs=1e-9), name
        assert document["estimates"][name]["value"] == pytest.approx(expected, rel=1e-9), name
    diagnostics = document["diagnostics"]
    assert diagnostics["n"] == row["n"]
    assert diagnostics["ess"] == pytest.approx(row["ess"], rel=1e-9)
    assert diagnostics["mean_weight"] == pytest.approx(row["w_mean"], rel=1e-9)
    assert diagnostics["max_weight"] == pytest.approx(row["w_max"], rel=1e-9)
    for method, theirs in (("gaussian", "gaussian"), ("cressie_read", "cressieread")):
        settings = ReplaySettings(interval=None if method == "gaussian" else method)
        ips = json.loads(as_json(replay(log, candidate, settings)))["estimates"]["ips"]
        assert ips["interval_method"] == method
        expected = row["intervals95_vw_estimators_0.2.2"][theirs]
        assert ips["interval"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
