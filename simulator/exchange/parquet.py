"""Our own Parquet: one file, the schema of `exporting.SCHEMA`, what is known of the whole log in its metadata."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from simulator.exchange.exporting import SCHEMA, LogFrames
from simulator.exchange.foreign import Declared, file_digest
from simulator.exchange.mapping import Columns, Mapping, RewardRange
from simulator.exchange.tables import Table
from simulator.progress import Track, silent

KEY: Final = "cxi-bandit"
_KIND: Final = "parquet"


class _About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The metadata under `KEY`, JSON."""

    format: int
    log: str
    actions: tuple[str, ...]
    action_features: tuple[Features, ...]
    reward_range: tuple[float, float]
    smallest_propensity: float | None


def write_parquet(log: LogFrames, path: Path) -> int:
    """Writes the log and gives its number of rows; the file appears whole or not at all."""
    declared = log.declared
    about = _About(
        format=1,
        log=log.name,
        actions=declared.actions,
        action_features=declared.action_features,
        reward_range=declared.reward_range,
        smallest_propensity=declared.smallest_propensity,
    )
    frame = pl.concat([pl.DataFrame(schema=SCHEMA), *log.batches])
    unfinished = path.with_name(f"{path.name}.part")
    frame.write_parquet(unfinished, metadata={KEY: msgspec.json.encode(about).decode()})
    unfinished.replace(path)
    return len(frame)


class ParquetFile:
    """A file that `write_parquet` wrote, or somebody else to the documented schema.

    Raises:
        InvalidInput: It is no Parquet, lacks our metadata or a column, or a row is bad.
    """

    def __init__(self, path: Path, track: Track = silent) -> None:
        self._digest = file_digest(path)
        self._name = path.name
        about = _about(path)
        mapping = Mapping(
            columns=Columns(
                action="action",
                propensity="propensity",
                reward="reward",
                logged_at="logged_at",
                position="position",
                subject="subject",
                probabilities="probabilities",
            ),
            context={"context": "context"},
            reward=RewardRange(min=about.reward_range[0], max=about.reward_range[1]),
            smallest_propensity=about.smallest_propensity,
            catalogue=about.actions,
        )
        declared = Declared(
            actions=about.actions,
            action_features=about.action_features,
            reward_range=about.reward_range,
            smallest_propensity=about.smallest_propensity,
        )
        self._table = Table(path.name, pl.scan_parquet(path), mapping, declared)
        for _ in self.rounds(track):
            pass

    def describe(self, name: str, at: datetime) -> ImportedLog:
        """See `ForeignLog`."""
        return self._table.declared.log(name, _KIND, self._digest, at)

    def rounds(self, track: Track = silent) -> Iterator[ImportedRound]:
        """See `ForeignLog`."""
        decode = msgspec.json.Decoder(Features).decode
        for number, row in enumerate(self._table.rounds(track), start=1):
            try:
                context = decode(str(row.context.get("context", "{}")))
            except msgspec.DecodeError as error:
                raise InvalidInput(self._name, f"nothing was imported, row {number}: context: {error}") from error
            yield row._replace(context=context)


def _about(path: Path) -> _About:
    try:
        text = pl.read_parquet_metadata(path).get(KEY)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInput(path.name, f"is no Parquet file: {str(error).splitlines()[0]}") from error
    if text is None:
        raise InvalidInput(path.name, "was not exported from here; import it as a table, with a mapping")
    try:
        return msgspec.json.decode(text, type=_About)
    except msgspec.DecodeError as error:
        raise InvalidInput(path.name, f"its metadata {KEY!r} cannot be read: {error}") from error
