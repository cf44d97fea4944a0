"""A log that is read part by part gives the digits of the same log in memory, cut into the same partitions."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLayout, ImportedLog
from simulator.candidates import Prepared, Uniform
from simulator.datasets.imported import ImportedParts, imported_parts, read_imported
from simulator.datasets.log import ReplayLog
from simulator.evaluate import Labels
from simulator.partitions import ArrayWriter, OneProcess, Partition, Processes, evaluate_on
from simulator.progress import Track, silent
from simulator.replay import Extremes, ReplaySettings, evaluation_settings, replay
from simulator.replay_in_parts import assess_laid_out, lay_out

ROWS, ACTIONS = 3001, ("hold", "gift", "call")


class Shelf:
    """One imported log in memory, with everything that an imported log can have."""

    def __init__(self, in_time_order: bool = True) -> None:
        rng = np.random.default_rng(8)
        vectors = rng.dirichlet((4.0, 2.0, 1.0), ROWS)
        action = (rng.random(ROWS)[:, None] > np.cumsum(vectors, axis=1)[:, :-1]).sum(axis=1)
        start = datetime(2026, 3, 1, tzinfo=UTC)
        self.in_time_order = in_time_order
        self.log = ImportedLog(
            name="shop",
            kind="table",
            source_sha256="0" * 64,
            created_at=start,
            actions=ACTIONS,
            rows=ROWS,
            smallest_propensity=1e-9,
        )
        self.frame = pl.DataFrame(
            {
                "row_number": range(ROWS),
                "logged_at": [start + timedelta(seconds=row // 2) for row in range(ROWS)],
                "position": rng.integers(1, 3, ROWS),
                "action": action,
                "propensity": vectors[np.arange(ROWS), action],
                "reward": (rng.random(ROWS) < 0.2 + 0.1 * action).astype(float),
                "context": [msgspec.json.encode({"visits": float(row % 7)}).decode() for row in range(ROWS)],
                "subject": rng.integers(0, 900, ROWS),
                "probabilities": [msgspec.json.encode(vector.tolist()).decode() for vector in vectors],
            }
        )

    def find(self, name: str) -> ImportedLog:
        return self.log

    def read(self, name: str, rows: range | None = None) -> pl.DataFrame:
        return self.frame if rows is None else self.frame[rows.start : rows.stop]

    def layout(self, name: str) -> ImportedLayout:
        return ImportedLayout(clock=True, positions=True, subjects=True, vectors=True, in_time_order=self.in_time_order)


@dataclass(frozen=True)
class Leaning:
    """Leans towards the last action, the more visits a row knows of; on some rows its model is silent."""

    by_row: bool = True
    spec: str = "leaning"

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:
        visits = np.array([float(log.contexts.described(row).context["visits"]) for row in range(len(log))])
        lean = visits / 10.0
        probabilities = np.stack([(1 - lean) / 2, (1 - lean) / 2, lean], axis=1)
        return Prepared(log=log, probabilities=probabilities, fallbacks={"cold_start": int((visits == 3).sum())})


@pytest.fixture(scope="module")
def parts() -> ImportedParts:
    found = imported_parts(Shelf(), "shop")
    assert found is not None
    return found


def test_the_parts_are_the_log(parts: ImportedParts) -> None:
    whole, read = read_imported(Shelf(), "shop"), list(parts.read(700))
    assert [len(part) for part in read] == [700, 700, 700, 700, 201]
    for name in ("action", "propensity", "reward", "logged_at", "position", "subject", "probabilities", "eligible"):
        expected = getattr(whole.rounds, name)
        assert np.array_equal(np.concatenate([getattr(part.rounds, name) for part in read]), expected), name
    assert read[1].contexts.described(5) == whole.contexts.described(705)


@pytest.mark.parametrize("interval", ["gaussian", "bootstrap", "cressie_read"])
@pytest.mark.parametrize("folds", [0, 4])
def test_the_digits_are_those_of_the_log_in_memory(
    parts: ImportedParts, interval: str, folds: int, tmp_path: Path
) -> None:
    settings = ReplaySettings(interval=interval, folds=folds, engine=OneProcess())  # type: ignore[arg-type]
    whole = replay(read_imported(Shelf(), "shop"), Leaning(), settings)
    met = assess_laid_out(lay_out(parts, Leaning(), tmp_path), settings)
    assert msgspec.json.encode(met.report) == msgspec.json.encode(whole.report)
    assert met.notes == whole.notes
    silent_rows = sum(row % 7 == 3 for row in range(ROWS))
    assert f"on {silent_rows} of {ROWS} rows" in met.notes[0]


def test_cut_alike_the_digits_are_alike_on_any_engine(parts: ImportedParts, tmp_path: Path) -> None:
    log, settings = read_imported(Shelf(), "shop"), ReplaySettings(engine=Processes(2))
    candidate = Uniform().prepare(log, silent).probabilities
    seen = Extremes.of(log.rounds.propensity, candidate)
    laid = lay_out(parts, Uniform(), tmp_path, partition_rows=800)
    assert len(laid.sources) == 4
    met = assess_laid_out(laid, settings).report
    expected = evaluate_on(
        OneProcess(),
        log.rounds,
        candidate,
        Labels(log="shop", candidate="uniform"),
        settings=evaluation_settings(settings, log.reward_range, log.smallest_propensity, seen),
        partition_rows=800,
    )
    assert msgspec.json.encode(met) == msgspec.json.encode(expected)


def test_what_needs_the_whole_log_is_not_asked_of_parts(parts: ImportedParts, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="whole log"):
        lay_out(parts, Leaning(by_row=False), tmp_path)
    laid = lay_out(parts, Leaning(), tmp_path)
    for asked in (
        ReplaySettings(),
        ReplaySettings(engine=OneProcess(), segments=("surface",)),
        ReplaySettings(engine=OneProcess(), reward_model="vw"),
        ReplaySettings(engine=OneProcess(), measures=True),
        ReplaySettings(engine=OneProcess(), horizon_sensitivity=True),
    ):
        assert not asked.in_parts
        with pytest.raises(InvalidInput, match="whole log"):
            assess_laid_out(laid, asked)


def test_rounds_that_must_be_sorted_are_read_whole() -> None:
    assert imported_parts(Shelf(in_time_order=False), "shop") is None


def test_a_writer_takes_whole_logs_of_one_shape_only(parts: ImportedParts, tmp_path: Path) -> None:
    first, second, *_ = (Partition(rounds=part.rounds, candidate=part.rounds.probabilities) for part in parts.read(500))
    with ArrayWriter(tmp_path, 1000) as writer:
        writer.append(first)
        with pytest.raises(InvalidInput, match="500 rows were laid out of 1000"):
            writer.files()
        with pytest.raises(InvalidInput, match="the same arrays"):
            writer.append(replace(second, rounds=replace(second.rounds, subject=None)))
        writer.append(second)
    (source,) = writer.files()
    assert np.array_equal(source.load().rounds.reward[500:], second.rounds.reward)
