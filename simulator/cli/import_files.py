"""The work of `cxi-bandit import parquet`, `dsjson` and `table`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxi_bandit.cli.progress import bars
from simulator.cli.import_obd import check_name, kept
from simulator.exchange import DsjsonFile, ForeignLog, ParquetFile, TableFile, read_mapping
from simulator.progress import Track


def run_parquet(file: Path, name: str, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Imports what `export --format parquet` wrote."""
    _run(lambda track: ParquetFile(file, track), name, options, as_json=as_json)


def run_dsjson(
    file: Path,
    name: str,
    reward_range: tuple[float, float],
    smallest_propensity: float | None,
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Imports VW's DSJSON."""
    _run(lambda track: DsjsonFile(file, reward_range, smallest_propensity, track), name, options, as_json=as_json)


def run_table(file: Path, mapping: Path, name: str, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Imports a table through a mapping of its columns."""
    read = read_mapping(mapping)
    _run(lambda track: TableFile(file, read, track), name, options, as_json=as_json)


def _run(opened: Callable[[Track], ForeignLog], name: str, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Checks every row first: a bad file is known before the database is asked for anything."""
    check_name(name)
    track = bars(as_json=as_json)
    source = opened(track)
    kept(source.describe(name, datetime.now(UTC)), source.rounds(track), options, as_json=as_json)
