"""Any table as a log: a file read in batches, or a frame of any library that speaks Arrow."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from simulator.exchange.foreign import (
    BadRow,
    Declared,
    checked,
    code,
    distribution,
    file_digest,
    moment,
    number,
    probability,
    slot,
)
from simulator.exchange.mapping import Mapping
from simulator.progress import Track, silent
from simulator.rounds import LoggedRounds

BATCH_ROWS: Final = 50_000
_KIND: Final = "table"


class Table:
    """A table read through a mapping. Its rows are read twice: once to be checked, once to be taken.

    Args:
        name: For complaints.
        scan: Its rows, lazily.
        mapping: Which column is what.
        declared: What the file itself says of the log; None takes it from the mapping and the drawn actions.

    Raises:
        InvalidInput: It lacks a column, or a row is bad; names the first twenty.
    """

    def __init__(self, name: str, scan: pl.LazyFrame, mapping: Mapping, declared: Declared | None = None) -> None:
        self._name = name
        self._mapping = mapping
        try:
            missing = [column for column in mapping.used if column not in scan.collect_schema().names()]
            if missing:
                raise InvalidInput(name, f"has no column {', '.join(missing)}")
            self._scan = scan.select(mapping.used)
            self._rows = int(self._scan.select(pl.len()).collect().item())
            self.declared = declared or self._declared()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InvalidInput(name, f"cannot be read: {_first_line(error)}") from error
        self._index = {action: number for number, action in enumerate(self.declared.actions)}

    def check(self, track: Track = silent) -> None:
        """Reads every row once. Raises InvalidInput with the first bad ones."""
        for _ in self.rounds(track):
            pass

    def rounds(self, track: Track = silent) -> Iterator[ImportedRound]:
        """See `ForeignLog`."""
        try:
            yield from checked(self._name, "row", self._numbered(), self._round, total=self._rows, track=track)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InvalidInput(self._name, f"cannot be read: {_first_line(error)}") from error

    def _numbered(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        count = 0
        for frame in self._scan.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, lazy=True):
            for row in frame.iter_rows():
                count += 1
                yield count, row

    def _declared(self) -> Declared:
        mapping = self._mapping
        actions = mapping.catalogue
        if not actions:
            drawn = self._scan.select(pl.col(mapping.columns.action).unique()).collect().to_series()
            actions = tuple(str(value) for value in sorted(value for value in drawn if value is not None))
        return Declared(
            actions=actions or ("none",),
            reward_range=(mapping.reward.min, mapping.reward.max),
            smallest_propensity=mapping.smallest_propensity,
        )

    @cached_property
    def _place(self) -> Callable[[str], int]:
        return {name: index for index, name in enumerate(self._mapping.used)}.__getitem__

    def _round(self, row: tuple[Any, ...]) -> ImportedRound:
        columns, place = self._mapping.columns, self._place

        def given(name: str | None) -> Any:  # noqa: ANN401 - a cell is anything until it is checked
            return None if name is None else row[place(name)]

        drawn = given(columns.action)
        action = self._index.get(str(drawn)) if drawn is not None else None
        if action is None:
            raise BadRow(f"{columns.action} {drawn!r} is none of the log's actions")
        propensity = probability(columns.propensity, given(columns.propensity))
        reward = number(columns.reward, given(columns.reward))
        low, high = self.declared.reward_range
        if not low <= reward <= high:
            raise BadRow(f"{columns.reward} {reward!r} is outside the declared range {low:g} to {high:g}")
        vector = given(columns.probabilities)
        probabilities = None
        if vector is not None:
            if len(vector) != len(self.declared.actions):
                raise BadRow(
                    f"{columns.probabilities} has {len(vector)} entries for {len(self.declared.actions)} actions"
                )
            propensity, probabilities = distribution(str(columns.probabilities), list(vector), action, propensity)
        position, subject, when = given(columns.position), given(columns.subject), given(columns.logged_at)
        return ImportedRound(
            logged_at=None if when is None else moment(str(columns.logged_at), when),
            position=None if position is None else slot(str(columns.position), position),
            action=action,
            propensity=propensity,
            reward=reward,
            context=self._features(row),
            subject=None if subject is None else code(str(columns.subject), subject),
            probabilities=probabilities,
        )

    def _features(self, row: tuple[Any, ...]) -> Features:
        features: Features = {}
        for feature, column in self._mapping.context.items():
            value = row[self._place(column)]
            if value is None:
                continue
            if not isinstance(value, bool | str):
                value = number(column, value)
            features[feature] = value
        return features


class TableFile:
    """A table in a file: `.parquet`, `.csv`, `.ndjson` or `.arrow` (also `.feather`, `.ipc`).

    Raises:
        InvalidInput: The file cannot be read, its name ends otherwise, or as `Table`.
    """

    def __init__(self, path: Path, mapping: Mapping, track: Track = silent) -> None:
        self._digest = file_digest(path)
        self._table = Table(path.name, _scan(path), mapping)
        self._table.check(track)

    def describe(self, name: str, at: datetime) -> ImportedLog:
        """See `ForeignLog`."""
        return self._table.declared.log(name, _KIND, self._digest, at)

    def rounds(self, track: Track = silent) -> Iterator[ImportedRound]:
        """See `ForeignLog`."""
        return self._table.rounds(track)


def rounds_from_table(table: Any, mapping: Mapping) -> LoggedRounds:  # noqa: ANN401 - any library's frame
    """A polars, pandas, pyarrow or other Arrow-speaking table as rounds, in its own order, ready for `evaluate`.

    Args:
        table: Whatever `polars.DataFrame` takes: a frame, or anything with the Arrow stream interface.
        mapping: Which column is what; its context columns are checked and left out.

    Raises:
        InvalidInput: A column is missing, or a row is bad; names the first twenty, counted from 1.
    """
    read = Table("table", pl.DataFrame(table).lazy(), mapping)
    return rounds_of(read.declared.actions, list(read.rounds()))


def rounds_of(actions: tuple[str, ...], rows: list[ImportedRound]) -> LoggedRounds:
    """Imported rows as arrays, in their order. What not every row has is left out."""
    whole = [row.probabilities for row in rows if row.probabilities is not None]
    matrix = np.array(whole, dtype=np.float64) if len(whole) == len(rows) else None
    clock = [row.logged_at.timestamp() for row in rows if row.logged_at is not None]
    slots = [row.position - 1 for row in rows if row.position is not None]
    subjects = [row.subject for row in rows if row.subject is not None]
    return LoggedRounds(
        actions=actions,
        action=np.array([row.action for row in rows], dtype=np.intp),
        propensity=np.array([row.propensity for row in rows]),
        reward=np.array([row.reward for row in rows]),
        logged_at=np.array(clock) if len(clock) == len(rows) else np.arange(len(rows), dtype=np.float64),
        position=np.array(slots, dtype=np.intp) if len(slots) == len(rows) else None,
        subject=np.array(subjects, dtype=np.int64) if len(subjects) == len(rows) else None,
        probabilities=None if matrix is None else np.nan_to_num(matrix),
        eligible=None if matrix is None else ~np.isnan(matrix),
    )


def _scan(path: Path) -> pl.LazyFrame:
    match path.suffix.lower():
        case ".parquet":
            return pl.scan_parquet(path)
        case ".csv":
            return pl.scan_csv(path, infer_schema_length=None)
        case ".ndjson" | ".jsonl":
            return pl.scan_ndjson(path, infer_schema_length=None)
        case ".arrow" | ".feather" | ".ipc":
            return pl.scan_ipc(path)
    raise InvalidInput(path.name, "is none of .parquet, .csv, .ndjson, .arrow")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
