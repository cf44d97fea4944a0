"""The Open Bandit files: rows of real impressions, read one at a time, each checked before anything believes it."""

import csv
import gzip
import hashlib
import math
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Final, NamedTuple

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from simulator.datasets.columns import AFFINITY
from simulator.progress import Track, silent

KIND: Final = "obd"
SLOTS: Final = 3
MOST_BAD_ROWS: Final = 20
_REPORT_EVERY: Final = 1000
_REQUIRED: Final = ("timestamp", "item_id", "position", "click", "propensity_score")
_USER: Final = "user_feature_"
_AFFINITY: Final = "user-item_affinity_"
_ITEM: Final = "item_feature_"
_NUMERIC_ITEM_FEATURE: Final = "item_feature_0"
_GZIP_MAGIC: Final = b"\x1f\x8b"


class Impression(NamedTuple):
    """One shown item.

    Attributes:
        line: Of the file, counted from 1, the header being line 1.
        item: 0-based, the action.
        position: 0-based slot; the file counts from 1.
        user: Hashed user features, by column name.
        affinity: How often the user clicked each item before, by item; empty where the file has no such columns.
    """

    line: int
    logged_at: datetime
    item: int
    position: int
    reward: float
    propensity: float
    user: dict[str, str]
    affinity: tuple[float, ...]

    def as_round(self) -> ImportedRound:
        """The row as the store keeps it: slots as on the page, counted from 1, and affinities of 0 left out."""
        context: Features = {**self.user}
        context.update({f"{AFFINITY}_{item}": value for item, value in enumerate(self.affinity) if value != 0.0})
        return ImportedRound(self.logged_at, self.position + 1, self.item, self.propensity, self.reward, context)


class BadRow(ValueError):
    """Why a row cannot be taken."""


class OpenBanditFile:
    """An Open Bandit CSV, gzipped or not, with its optional items file.

    Attributes:
        items: Features of each item by name, item 0 first; empty dicts where no items file was given.

    Raises:
        InvalidInput: A file cannot be read, lacks a column, or the number of items is not known from either file.
    """

    def __init__(self, path: Path, items_path: Path | None = None) -> None:
        self._path = path
        with _raw(path) as raw:
            self._header = next(csv.reader(_lines(raw, path)), [])
        missing = [name for name in _REQUIRED if name not in self._header]
        if missing:
            raise InvalidInput(path.name, f"has no column {', '.join(missing)}; is it an Open Bandit file?")
        affinities = [name for name in self._header if name.startswith(_AFFINITY)]
        if items_path is None and not affinities:
            raise InvalidInput(path.name, "does not tell how many items there are; give the items file with --items")
        self.items: list[Features] = [{} for _ in affinities] if items_path is None else _read_items(items_path)
        if affinities and len(affinities) != len(self.items):
            raise InvalidInput(path.name, f"knows {len(affinities)} items, the items file {len(self.items)}")
        self._column = {name: index for index, name in enumerate(self._header)}
        self._users = [(name, self._column[name]) for name in self._header if name.startswith(_USER)]
        self._affinities = [self._column[f"{_AFFINITY}{item}"] for item in range(len(affinities))]

    def describe(self, name: str, at: datetime) -> ImportedLog:
        """What the store is told about the log before its rows: item k is action `item_k`.

        Args:
            at: When it is imported, aware.
        """
        described = any(self.items)
        return ImportedLog(
            name=name,
            kind=KIND,
            source_sha256=_sha256(self._path),
            created_at=at,
            actions=tuple(f"item_{item}" for item in range(len(self.items))),
            action_features=tuple(self.items) if described else (),
        )

    def rows(self, track: Track = silent) -> Iterator[Impression]:
        """Every row in file order, one at a time.

        Raises:
            InvalidInput: Some rows are bad; names up to 20 of them with line and reason. Whoever writes the rows
                somewhere must undo it then.
        """
        bad: list[str] = []
        with track(f"Reading {self._path.name}", None) as advance, _raw(self._path) as raw:
            size = self._path.stat().st_size
            reader = csv.reader(_lines(raw, self._path))
            next(reader)
            count = 0
            for fields in _records(reader, self._path):
                count += 1
                if count % _REPORT_EVERY == 0:
                    advance(_REPORT_EVERY, int(count * size / max(raw.tell(), 1)))
                try:
                    impression = self._impression(reader.line_num, fields)
                except BadRow as reason:
                    bad.append(f"line {reader.line_num}: {reason}")
                    if len(bad) == MOST_BAD_ROWS:
                        break
                else:
                    # Once a row was bad the rest is only read to name the other bad ones.
                    if not bad:
                        yield impression
            advance(count % _REPORT_EVERY, count)
        if bad:
            more = ", and perhaps more" if len(bad) == MOST_BAD_ROWS else ""
            listed = "\n  ".join(bad)
            raise InvalidInput(self._path.name, f"nothing was imported, {len(bad)} bad rows{more}:\n  {listed}")
        if count == 0:
            raise InvalidInput(self._path.name, "has no rows")

    def _impression(self, line: int, fields: Sequence[str]) -> Impression:
        if len(fields) != len(self._header):
            raise BadRow(f"{len(fields)} fields, the header has {len(self._header)}")
        column = self._column
        item = _integer("item_id", fields[column["item_id"]], 0, len(self.items) - 1)
        position = _integer("position", fields[column["position"]], 1, SLOTS)
        click = _integer("click", fields[column["click"]], 0, 1)
        propensity = _number("propensity_score", fields[column["propensity_score"]])
        if not 0.0 < propensity <= 1.0:
            raise BadRow(f"propensity_score {propensity!r} is not in (0, 1]")
        user = {}
        for name, index in self._users:
            if not fields[index]:
                raise BadRow(f"{name} is empty")
            user[name] = fields[index]
        affinity = tuple(_number(self._header[index], fields[index]) for index in self._affinities)
        when = _moment(fields[column["timestamp"]])
        return Impression(line, when, item, position - 1, float(click), propensity, user, affinity)


@contextmanager
def _raw(path: Path) -> Iterator[BufferedReader]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(path.name, f"cannot be read: {error.strerror}") from error
    with file:
        yield file


def _lines(raw: BufferedReader, path: Path) -> Iterator[str]:
    """The file's lines, unpacked where it is gzipped, which its first bytes tell better than its name."""
    zipped = raw.peek(2)[:2] == _GZIP_MAGIC
    unpacked = gzip.GzipFile(fileobj=raw) if zipped else raw
    try:
        with TextIOWrapper(unpacked, encoding="utf-8", newline="") as text:
            yield from text
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInput(path.name, f"is damaged, nothing was imported: {error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(path.name, f"is no UTF-8 text, nothing was imported: {error}") from error


def _sha256(path: Path) -> str:
    with _raw(path) as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _records(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InvalidInput(path.name, f"is no CSV, nothing was imported: {error}") from error


def _read_items(path: Path) -> list[Features]:
    """Features by item; the file must describe items 0, 1, ... once each, in any order."""
    found: dict[int, Features] = {}
    with _raw(path) as raw:
        reader = csv.DictReader(_lines(raw, path))
        for row in reader:
            try:
                item, features = _item(row)
            except BadRow as reason:
                raise InvalidInput(path.name, f"line {reader.line_num}: {reason}") from reason
            if item in found:
                raise InvalidInput(path.name, f"line {reader.line_num}: item_id {item} comes twice")
            found[item] = features
    if sorted(found) != list(range(len(found))) or not found:
        raise InvalidInput(path.name, "must describe items 0, 1, 2, ... without a gap")
    return [found[item] for item in range(len(found))]


def _item(row: Mapping[str, str | None]) -> tuple[int, Features]:
    features: Features = {}
    for name, value in row.items():
        if name.startswith(_ITEM):
            features[name] = _number(name, value or "") if name == _NUMERIC_ITEM_FEATURE else value or ""
    return _integer("item_id", row.get("item_id") or "", 0, sys.maxsize), features


def _integer(name: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise BadRow(f"{name} {text!r} is no whole number") from None
    if not low <= value <= high:
        raise BadRow(f"{name} {value} is not within {low} to {high}")
    return value


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadRow(f"{name} {text!r} is no number") from None
    if not math.isfinite(value):
        raise BadRow(f"{name} {text!r} is not finite")
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRow(f"timestamp {text!r} is no ISO 8601 time") from None
    if moment.tzinfo is None:
        raise BadRow(f"timestamp {text!r} names no time zone")
    return moment
