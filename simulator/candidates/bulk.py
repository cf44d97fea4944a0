"""A whole log's situations through a served policy, in this process or several: the digits it would be served with."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
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

ROWS_WORTH_PROCESSES: Final = 150_000
"""Below this many rows, starting processes and loading the model in each takes longer than it saves."""

_REMEMBERED: Final = 65_536


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


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores situations with one policy, and remembers what it gave: equal situations are given equal vectors."""

    served: ServedPolicy
    _given: dict[bytes, tuple[tuple[float, ...], str | None]] = field(default_factory=dict, repr=False)

    def vectors(self, encoded: bytes) -> Vectors:
        """Of an encoded chunk (`encoded_chunks`)."""
        flat: list[float] = []
        fallbacks: list[str | None] = []
        for raw in msgspec.msgpack.decode(encoded, type=list[msgspec.Raw]):
            key = bytes(raw)
            given = self._given.get(key)
            if given is None:
                drawn = distribution(self.served, _DECODER.decode(raw))
                given = (drawn.probabilities, None if drawn.fallback is None else drawn.fallback.value)
                if len(self._given) < _REMEMBERED:
                    self._given[key] = given
            flat += given[0]
            fallbacks.append(given[1])
        return Vectors(np.array(flat), fallbacks)


_DECODER: Final = msgspec.msgpack.Decoder(Situation)
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
