"""A whole log's situations through a served policy, in this process or several: the digits it would be served with."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from cxi_bandit.domain.decision import Situation
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import ServedPolicy, distribution
from cxi_bandit.engine.ports import ModelRoom
from cxi_bandit.policy.manifest import Manifest
from simulator.rounds import Float64s

CHUNK_ROWS: Final = 1024
"""Situations that travel to another process, and back as vectors, at a time."""

ROWS_WORTH_PROCESSES: Final = 100_000
"""Below this many rows, starting processes and loading the model in each takes longer than it saves."""

_REMEMBERED: Final = 65_536
_TRIAL: Final = 8_192  # situations after which it is seen whether looking pays
_WORTH_LOOKING: Final = 16  # one in so many must be known


class Vectors(NamedTuple):
    """What a chunk of situations was given, in their order.

    Attributes:
        flat: The vectors one after another, each over its situation's eligible interventions.
        fallbacks: Why the model did not speak, for each situation; None where it did.
    """

    flat: Float64s
    fallbacks: list[str | None]


@dataclass(frozen=True, eq=False)
class Origin:
    """What a served policy's scorer was loaded from, for other processes to load it as a worker does.

    Args:
        data: The model's bytes.
        room: Loads them.
    """

    data: bytes
    room: ModelRoom


class Scored:
    """Scores situations with one policy, and remembers what it gave: equal situations are given equal vectors.

    Where the first thousands of situations hardly ever repeat, as with a number that is never twice the same, it stops
    looking: remembering them would cost a tenth of scoring them.
    """

    def __init__(self, served: ServedPolicy) -> None:
        self._served = served
        self._given: dict[bytes, _Given] | None = {}
        self._looked = self._known = 0

    def vectors(self, encoded: bytes) -> Vectors:
        """Of an encoded chunk (`encoded_chunks`)."""
        if self._given is None:
            found = [self._drawn(situation) for situation in _CHUNK_DECODER.decode(encoded)]
        else:
            found = self._remembered(encoded, self._given)
        flat: list[float] = []
        for probabilities, _ in found:
            flat += probabilities
        return Vectors(np.array(flat), [fallback for _, fallback in found])

    def _remembered(self, encoded: bytes, given: "dict[bytes, _Given]") -> "list[_Given]":
        found = []
        for raw in _RAW_DECODER.decode(encoded):
            key = bytes(raw)
            known = given.get(key)
            if known is None:
                known = self._drawn(_DECODER.decode(raw))
                if len(given) < _REMEMBERED:
                    given[key] = known
            else:
                self._known += 1
            found.append(known)
        self._looked += len(found)
        if self._looked >= _TRIAL and self._known < self._looked // _WORTH_LOOKING:
            self._given = None
        return found

    def _drawn(self, situation: Situation) -> "_Given":
        drawn = distribution(self._served, situation)
        return drawn.probabilities, None if drawn.fallback is None else drawn.fallback.value


_Given = tuple[tuple[float, ...], str | None]
_DECODER: Final = msgspec.msgpack.Decoder(Situation)
_RAW_DECODER: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_CHUNK_DECODER: Final = msgspec.msgpack.Decoder(list[Situation])
_ENCODER: Final = msgspec.msgpack.Encoder()


def encoded_chunks(situations: Iterable[Situation], rows: int = CHUNK_ROWS) -> Iterator[bytes]:
    """The situations in order, `rows` at a time, encoded."""
    chunk: list[Situation] = []
    for situation in situations:
        chunk.append(situation)
        if len(chunk) == rows:
            yield _ENCODER.encode(chunk)
            chunk = []
    if chunk:
        yield _ENCODER.encode(chunk)


def processes_for(rows: int) -> int:
    """How many processes a log of `rows` rows is worth."""
    return 1 if rows < ROWS_WORTH_PROCESSES else os.cpu_count() or 1


def vectors(chunks: Iterable[bytes], served: ServedPolicy, origin: Origin | None, processes: int) -> Iterator[Vectors]:
    """What every chunk's situations are given, in order, with at most a few chunks under way.

    Args:
        chunks: From `encoded_chunks`; encoded in this process while others score.
        served: The policy.
        origin: Of its scorer; without one this process scores alone.
        processes: How many score; 1 scores here.
    """
    if processes == 1 or origin is None:
        yield from map(Scored(served).vectors, chunks)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["simulator.candidates.bulk"])
    # A scorer holds a workspace, which no other process can have: it is loaded there from its bytes.
    parts = (served.version, served.manifest, served.model, origin)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_load, initargs=parts) as pool:
        waiting: deque[Future[Vectors]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_vectors, chunk))
            if len(waiting) > 4 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_HERE: list[Scored] = []
"""A scoring process's own policy: loaded when it starts, as a model takes longer to load than a chunk to score."""


def _load(version: PolicyVersion, manifest: Manifest, model: Model | None, origin: Origin) -> None:
    scorer = origin.room.load(manifest, origin.data)
    _HERE[:] = [Scored(ServedPolicy(version, manifest, model, scorer))]


def _vectors(chunk: bytes) -> Vectors:
    return _HERE[0].vectors(chunk)
