"""VW's DSJSON: one decision a line, with its cost, its probability and the vector it was drawn from."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final

import msgspec

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.imported import ImportedLog, ImportedRound
from simulator.exchange.dsjson_fields import Event, action_names, context_features, features_of
from simulator.exchange.exporting import LogFrames
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
from simulator.progress import Track, silent

_KIND: Final = "dsjson"
_GZIP: Final = b"\x1f\x8b"


def write_dsjson(log: LogFrames, path: Path) -> int:
    """Writes the log and gives its number of rows; the file appears whole or not at all."""
    unfinished = path.with_name(f"{path.name}.part")
    encode = msgspec.json.Encoder().encode
    count = 0
    with unfinished.open("wb") as file:
        for frame in log.batches:
            for row in frame.iter_rows(named=True):
                file.write(encode(_line(log.declared, row)) + b"\n")
                count += 1
    unfinished.replace(path)
    return count


def _line(declared: Declared, row: dict[str, Any]) -> dict[str, Any]:
    catalogue, vector = declared.actions, row["probabilities"]
    shown = [index for index in range(len(catalogue)) if vector is None or vector[index] is not None]
    place = shown.index(catalogue.index(row["action"]))
    # The drawn action comes first, as in VW's own logs; without a whole vector it is all that is known.
    order = [place] if vector is None else [place, *(index for index in range(len(shown)) if index != place)]
    features = declared.action_features or ({},) * len(catalogue)
    actions = [{"_tag": catalogue[k], "A": {"id": catalogue[k], **features[k]}} for k in shown]
    shared: dict[str, Any] = {"S": msgspec.json.decode(row["context"])}
    shared |= {f"_{name}": row[name] for name in ("position", "subject") if row[name] is not None}
    line: dict[str, Any] = {
        # Not -0.0, which VW would print back.
        "_label_cost": 0.0 - row["reward"],
        "_label_probability": row["propensity"],
        "_label_Action": place + 1,
        "_labelIndex": place,
        "Version": "1",
        "EventId": row["event_id"],
    }
    if row["logged_at"] is not None:
        line["Timestamp"] = row["logged_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        **line,
        "a": [index + 1 for index in order],
        "c": {**shared, "_multi": actions},
        "p": [row["propensity"]] if vector is None else [vector[shown[index]] for index in order],
        "VWState": {"m": "N/A"},
    }


class DsjsonFile:
    """A DSJSON file, gzipped or not, read twice: once to be checked and to learn the actions, once to be taken.

    Args:
        path: The file.
        reward_range: Declared; a reward is minus the cost.
        smallest_propensity: Declared floor of the logging policy.
        track: Hears of lines read.

    Raises:
        InvalidInput: It cannot be read, or a line is bad; names the first twenty.
    """

    def __init__(
        self,
        path: Path,
        reward_range: tuple[float, float] = (0.0, 1.0),
        smallest_propensity: float | None = None,
        track: Track = silent,
    ) -> None:
        self._path = path
        self._digest = file_digest(path)
        self._range = reward_range
        self._decode = msgspec.json.Decoder(Event).decode
        found: dict[str, Features] = {}
        self._index: dict[str, int] = {}
        self._learn(found, track)
        self._declared = Declared(
            actions=tuple(found),
            action_features=tuple(found.values()),
            reward_range=reward_range,
            smallest_propensity=smallest_propensity,
        )

    def describe(self, name: str, at: datetime) -> ImportedLog:
        """See `ForeignLog`."""
        return self._declared.log(name, _KIND, self._digest, at)

    def rounds(self, track: Track = silent) -> Iterator[ImportedRound]:
        """See `ForeignLog`."""
        return checked(self._path.name, "line", self._numbered(), self._round, total=None, track=track)

    def _learn(self, found: dict[str, Features], track: Track) -> None:
        """Every line once: all of the actions must be known before a vector over them can be laid out."""

        def learned(text: str) -> ImportedRound:
            event = self._event(text)
            for name, entry in zip(action_names(event), event.c["_multi"], strict=True):
                if name not in found:
                    self._index[name] = len(found)
                    found[name] = features_of(entry)
            return self._round(text)

        for _ in checked(self._path.name, "line", self._numbered(), learned, total=None, track=track):
            pass

    def _numbered(self) -> Iterator[tuple[int, str]]:
        try:
            with _opened(self._path) as lines:
                for count, line in enumerate(lines, start=1):
                    if line.strip():
                        yield count, line.decode()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise InvalidInput(self._path.name, f"cannot be read: {error}") from error

    def _event(self, text: str) -> Event:
        try:
            event = self._decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRow(f"is no DSJSON decision: {error}") from error
        if not event.c.get("_multi"):
            raise BadRow("c._multi is missing or empty: there are no actions")
        if event.pdrop:
            raise BadRow(f"pdrop is {event.pdrop:g}: other lines were dropped, and what is left is no fair sample")
        if event.skip_learn:
            raise BadRow("_skipLearn is set: the decision was not shown")
        return event

    def _round(self, text: str) -> ImportedRound:
        event = self._event(text)
        names = action_names(event)
        places = [self._index[name] for name in names]
        chosen = self._chosen(event, len(names))
        propensity = probability("_label_probability", event.label_probability)
        reward = 0.0 - number("_label_cost", event.label_cost)
        low, high = self._range
        if not low <= reward <= high:
            raise BadRow(f"reward {reward!r} (minus _label_cost) is outside the declared range {low:g} to {high:g}")
        probabilities = None
        if event.p is not None and event.a is not None and len(event.p) == len(event.a) == len(names):
            vector: list[float | None] = [None] * len(self._index)
            for place, value in zip(event.a, event.p, strict=True):
                if not 1 <= place <= len(names):
                    raise BadRow(f"a names action {place} of {len(names)}")
                vector[places[place - 1]] = float(value)
            propensity, probabilities = distribution("p", vector, places[chosen], propensity)
        position, subject = event.c.get("_position"), event.c.get("_subject")
        return ImportedRound(
            logged_at=None if event.timestamp is None else moment("Timestamp", event.timestamp),
            position=None if position is None else slot("c._position", position),
            action=places[chosen],
            propensity=propensity,
            reward=reward,
            context=context_features(event.c),
            subject=None if subject is None else code("c._subject", subject),
            probabilities=probabilities,
        )

    def _chosen(self, event: Event, count: int) -> int:
        """Which of the line's actions was drawn, from 0."""
        index = event.label_index
        if index is None and event.label_action is not None:
            index = event.label_action - 1
        if index is None and event.a:
            index = event.a[0] - 1
        if index is None or not 0 <= index < count:
            raise BadRow(f"_labelIndex {index!r} is none of the line's {count} actions")
        return index


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == _GZIP
        raw.seek(0)
        with gzip.open(raw) if zipped else raw as file:
            yield file
