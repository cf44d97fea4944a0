"""An imported log as a policy's manifest sees it, and what is said when it does not fit."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.vowpal import VowpalRoom
from simulator.candidates import ManifestCandidate, Uniform
from simulator.datasets.imported import read_imported
from simulator.datasets.log import ReplayLog
from simulator.datasets.open_bandit import OpenBanditFile
from simulator.replay import ReplaySettings, replay

SHIPPED = Path(__file__).resolve().parents[3] / "data" / "obd"

MANIFEST = """
format = 1
name = "fashion"
surface = "search"

[defects.unsure]

[context.features.position]
type = "category"
values = ["1", "2", "3"]
required = true

[context.features.user_feature_0]
type = "category"

[intervention_features.features.item_feature_0]
type = "number"
min = -10
max = 10

[intervention_features.features.affinity]
type = "number"
min = 0
max = 100
scale = "log"

[reward]
horizon_seconds = 60
min = 0
max = 1

[reward.metrics.click]
weight = 1
min = 0
max = 1

[exploration]
floor = 0.001

[[interventions]]
id = "hold"
"""


class Shelf:
    """One imported log in memory."""

    def __init__(self, file: OpenBanditFile) -> None:
        self._log = file.describe("men", datetime(2026, 1, 1, tzinfo=UTC))
        rounds = [row.as_round() for row in file.rows()]
        self._frame = pl.DataFrame(
            {
                "row_number": range(len(rounds)),
                "logged_at": [r.logged_at for r in rounds],
                "position": [r.position for r in rounds],
                "action": [r.action for r in rounds],
                "propensity": [r.propensity for r in rounds],
                "reward": [r.reward for r in rounds],
                "context": [msgspec.json.encode(r.context).decode() for r in rounds],
                "subject": [r.subject for r in rounds],
                "probabilities": [None for _ in rounds],
            },
            schema_overrides={"subject": pl.Int64, "probabilities": pl.String},
        )

    def find(self, name: str) -> ImportedLog:
        assert name == "men"
        return self._log

    def read(self, name: str) -> pl.DataFrame:
        assert name == "men"
        # Out of order on purpose: the reader sorts by time.
        return self._frame.reverse()


def manifest_text(actions: int = 34) -> str:
    return MANIFEST + "".join(f'\n[[interventions]]\nid = "item_{item}"\n' for item in range(actions))


@pytest.fixture(scope="module")
def log() -> ReplayLog:
    file = OpenBanditFile(SHIPPED / "bts-men.csv.gz", SHIPPED / "items-men.csv.gz")
    return read_imported(Shelf(file), "men")


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return parse_manifest(manifest_text(), "fashion.toml")


def test_rows_come_by_time_with_slots_from_0(log: ReplayLog) -> None:
    assert (np.diff(log.rounds.logged_at) >= 0).all()
    assert log.rounds.position is not None
    assert set(log.rounds.position.tolist()) == {0, 1, 2}
    assert log.rounds.actions[:2] == ("item_0", "item_1")


def test_a_manifest_sees_the_columns_it_declares(log: ReplayLog, manifest: Manifest) -> None:
    situation = log.contexts.situation(0, manifest)
    assert situation.context == {"position": "2", "user_feature_0": "cef3390ed299c09874189c387777674a"}
    assert situation.eligible == log.rounds.actions
    assert situation.defect.type == "unsure"


def test_affinities_describe_the_items_they_belong_to(log: ReplayLog, manifest: Manifest) -> None:
    offered = [situation.offered for row in range(1000) if (situation := log.contexts.situation(row, manifest)).offered]
    assert offered
    assert all(features["affinity"] > 0 for offers in offered for features in offers.values())


def test_taken_rows_keep_their_contexts(log: ReplayLog, manifest: Manifest) -> None:
    later = log.take(np.arange(5000, len(log)))
    assert later.contexts.situation(0, manifest) == log.contexts.situation(5000, manifest)
    assert later.contexts.training_row(7, manifest).reward == log.rounds.reward[5007]


def test_a_manifest_is_trained_and_replayed(log: ReplayLog, tmp_path: Path) -> None:
    path = tmp_path / "fashion.toml"
    path.write_text(manifest_text())
    candidate = ManifestCandidate.read("manifest:fashion.toml", path, VowpalRoom(), 0.8)
    result = replay(log, candidate)
    assert result.report.diagnostics.n == 2000
    assert result.report.provenance.manifest_sha is not None
    assert "first 8000 rows" in result.notes[0]


def test_vw_reads_every_column_without_any_manifest(log: ReplayLog) -> None:
    few = log.take(np.arange(300))
    assert "affinity" in log.manifest.intervention_features.features
    assert "item_feature_3" in log.manifest.intervention_features.features
    estimates = replay(few, Uniform(), ReplaySettings(reward_model="vw", folds=2)).report.estimates
    assert estimates["dm"].value is not None
    assert 0 <= estimates["dm"].value <= 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (manifest_text(33), "exactly the log's 34 actions"),
        (manifest_text(35), "'item_34' is in one only"),
        (manifest_text().replace("[defects.unsure]", "[defects.unsure]\n[defects.other]"), "must declare one defect"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(log: ReplayLog, text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        log.contexts.situation(0, parse_manifest(text, "fashion.toml"))
    assert reason in caught.value.detail


def test_rewards_outside_the_manifests_range_are_refused(log: ReplayLog) -> None:
    text = manifest_text().replace("min = 0\nmax = 1\n\n[reward.metrics", "min = 0\nmax = 0.5\n\n[reward.metrics")
    with pytest.raises(InvalidInput, match="rewards outside"):
        log.contexts.situation(0, parse_manifest(text, "fashion.toml"))
