"""What every reader of somebody else's log gives, and how it complains: row by row, and then it gives nothing."""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from simulator.progress import Track

MOST_BAD_ROWS: Final = 20
SUM_TOLERANCE: Final = 1e-6
ROUNDED_TOLERANCE: Final = 1e-4
"""Vectors printed with few digits sum to 1 within this; they are divided by their sum."""

_SMALLINT: Final = 2**15 - 1
_REPORT_EVERY: Final = 1000
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")


class BadRow(ValueError):
    """Why a row cannot be taken."""


class ForeignLog(Protocol):
    """A log in a file of some format. What it says of itself is known, and every row was checked, once it is made."""

    def describe(self, name: str, at: datetime) -> ImportedLog:
        """What the store is told about the log before its rows; `at` is when it is imported, aware."""
        ...

    def rounds(self, track: Track) -> Iterator[ImportedRound]:
        """Every row in the file's order, read again, one at a time."""
        ...


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a file, or whoever brings it, says of the whole log.

    Args:
        actions: The catalogue in order.
        action_features: One entry an action, or empty.
        reward_range: Smallest and largest reward that were possible.
        smallest_propensity: Floor of the logging policy; None where nobody knows.
    """

    actions: tuple[str, ...]
    action_features: tuple[Features, ...] = ()
    reward_range: tuple[float, float] = (0.0, 1.0)
    smallest_propensity: float | None = None

    def log(self, name: str, kind: str, digest: str, at: datetime) -> ImportedLog:
        """The description the store takes."""
        return ImportedLog(
            name=name,
            kind=kind,
            source_sha256=digest,
            created_at=at,
            actions=self.actions,
            action_features=self.action_features if any(self.action_features) else (),
            reward_min=self.reward_range[0],
            reward_max=self.reward_range[1],
            smallest_propensity=self.smallest_propensity,
        )


Raw = TypeVar("Raw")


def checked(
    what: str,
    unit: str,
    rows: Iterable[tuple[int, Raw]],
    read: Callable[[Raw], ImportedRound],
    *,
    total: int | None,
    track: Track,
) -> Iterator[ImportedRound]:
    """The rounds that `read` makes of numbered rows; after the first bad one only reasons are gathered.

    Args:
        what: The file's name, for complaints.
        unit: What its rows are called: `row` or `line`.
        rows: With their numbers.
        read: Raises BadRow.
        total: How many rows there are, where that is known.
        track: Hears of rows read.

    Raises:
        InvalidInput: Some rows are bad; names up to 20 of them with number and reason. Or there are none at all.
    """
    bad: list[str] = []
    count = 0
    with track(f"Reading {what}", total) as advance:
        for number, raw in rows:
            count += 1
            if count % _REPORT_EVERY == 0:
                advance(_REPORT_EVERY)
            try:
                taken = read(raw)
            except BadRow as reason:
                bad.append(f"{unit} {number}: {reason}")
                if len(bad) == MOST_BAD_ROWS:
                    break
            else:
                if not bad:
                    yield taken
        advance(count % _REPORT_EVERY)
    if bad:
        more = ", and perhaps more" if len(bad) == MOST_BAD_ROWS else ""
        listed = "\n  ".join(bad)
        raise InvalidInput(what, f"nothing was imported, {len(bad)} bad rows{more}:\n  {listed}")
    if not count:
        raise InvalidInput(what, "has no rows")


def number(name: str, value: object) -> float:
    """`value` as a finite float."""
    if value is None:
        raise BadRow(f"{name} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(f"{name} {value!r} is no number")
    try:
        found = float(value)
    except OverflowError:
        raise BadRow(f"{name} is beyond the range of a 64-bit float") from None
    if not math.isfinite(found):
        raise BadRow(f"{name} {value!r} is not finite")
    return found


def probability(name: str, value: object) -> float:
    """`value` as a propensity, in (0, 1]."""
    if value is None:
        raise BadRow(f"{name} is missing: without the probability it was drawn with, a row can tell nothing")
    found = number(name, value)
    if not 0.0 < found <= 1.0:
        raise BadRow(f"{name} {found!r} is not in (0, 1]")
    return found


def slot(name: str, value: object) -> int:
    """`value` as a slot, counted from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _SMALLINT:
        raise BadRow(f"{name} {value!r} is no whole number from 1")
    return value


def code(name: str, value: object) -> int:
    """`value` as a shopper's code: a 64-bit integer as it is, a text by its digest."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, str) and value:
        return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "big", signed=True)
    raise BadRow(f"{name} {value!r} is neither a whole number nor a text")


def moment(name: str, value: object) -> datetime:
    """`value` as an aware time."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise BadRow(f"{name} {value!r} is no ISO 8601 time") from None
    if not isinstance(value, datetime):
        raise BadRow(f"{name} {value!r} is no time")
    if value.tzinfo is None:
        raise BadRow(f"{name} {value!r} names no time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise BadRow(f"{name} {value!r} is no time of the years 1 to 9999") from None


def distribution(
    name: str, vector: list[float | None], drawn: int, propensity: float
) -> tuple[float, tuple[float | None, ...]]:
    """The propensity and the vector, once they are known to be a distribution and to agree.

    A vector printed with few digits is divided by its sum, and the propensity read from it, so that both stay true to
    each other; one that sums to 1 within 1e-6 is kept to the last bit.
    """
    known = [value for value in vector if value is not None]
    if any(not math.isfinite(value) or value < 0.0 for value in known):
        raise BadRow(f"{name} holds a value that is no probability")
    total = math.fsum(known)
    if abs(total - 1.0) > ROUNDED_TOLERANCE:
        raise BadRow(f"{name} sums to {total!r}, not to 1")
    at_drawn = vector[drawn]
    if at_drawn is None or abs(at_drawn - propensity) > ROUNDED_TOLERANCE:
        raise BadRow(f"{name} gives the drawn action {at_drawn!r}, its propensity is {propensity!r}")
    if abs(total - 1.0) > SUM_TOLERANCE or abs(at_drawn - propensity) > SUM_TOLERANCE:
        vector = [None if value is None else value / total for value in vector]
        propensity = at_drawn / total
        if propensity <= 0.0:
            raise BadRow(f"{name} gives the drawn action no probability")
    return propensity, tuple(vector)


def feature_name(text: str) -> str:
    """`text` as a feature's name in a manifest: lower case, `_` for everything but letters and digits."""
    name = _NOT_IN_NAMES.sub("_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"f_{name}"


def file_digest(path: Path) -> str:
    """SHA-256 of the file, hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(path.name, f"cannot be read: {error.strerror}") from error
