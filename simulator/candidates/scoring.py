"""Scoring a log with a served policy, through the engine's own distribution: floors and fallbacks exactly as served."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cxi_bandit.domain.decision import Situation
from cxi_bandit.engine.decide import ServedPolicy
from simulator.candidates.bulk import Origin, encoded_chunks, processes_for, vectors
from simulator.candidates.candidate import Prepared
from simulator.candidates.shelf import Scores, ScoreShelf, score_key
from simulator.datasets.log import ReplayLog
from simulator.progress import Track


@dataclass(frozen=True)
class Scoring:
    """How logs are scored.

    Args:
        processes: How many at a time; None decides by the log's size. The digits are the same.
        shelf: Where scores are kept; None keeps none.
    """

    processes: int | None = None
    shelf: ScoreShelf | None = None


def score(
    log: ReplayLog, served: ServedPolicy, track: Track, origin: Origin | None = None, scoring: Scoring | None = None
) -> Prepared:
    """The policy's probabilities for every row of the log, and on how many it was not the model that spoke.

    Args:
        log: The rows.
        served: The policy.
        track: Hears of rows done.
        origin: Of its scorer; without one this process scores alone, and nothing is kept.
        scoring: How; None takes the defaults.
    """
    scoring = scoring or Scoring()
    processes = scoring.processes or processes_for(len(log))
    if origin is None or scoring.shelf is None:
        scores = _scored(log, served, track, origin, processes)
    else:
        key = score_key(log, served, origin.room.build)
        found = scoring.shelf.find(key)
        scores = _scored(log, served, track, origin, processes) if found is None else found
        if found is None:
            scoring.shelf.put(key, scores)
    return Prepared(
        log=log.widened(scores.actions[log.rounds.n_actions :]),
        probabilities=scores.probabilities,
        manifest_sha=served.version.manifest_sha,
        model_sha=None if served.model is None else served.model.sha256,
        fallbacks=scores.fallbacks,
    )


def _scored(log: ReplayLog, served: ServedPolicy, track: Track, origin: Origin | None, processes: int) -> Scores:
    known, manifest = log.rounds.n_actions, served.manifest
    columns = {name: column for column, name in enumerate(log.rounds.actions)}
    for name in manifest.catalogue:
        columns.setdefault(name, len(columns))
    probabilities = np.zeros((len(log), len(columns)))
    flat = probabilities.reshape(-1)
    fallbacks: Counter[str] = Counter()
    places = _Places(columns)

    def situations() -> Iterator[Situation]:
        for row in range(len(log)):
            situation = log.contexts.situation(row, manifest)
            places.add(row, situation)
            yield situation

    with track("Scoring the candidate", len(log)) as advance:
        for given in vectors(encoded_chunks(situations()), served, origin, processes):
            flat[places.next(len(given.flat))] = given.flat
            fallbacks.update(reason for reason in given.fallbacks if reason is not None)
            advance(len(given.fallbacks))
    added = [name for name, column in columns.items() if column >= known and probabilities[:, column].any()]
    if known + len(added) < len(columns):
        probabilities = probabilities[:, [*range(known), *(columns[name] for name in added)]]
    return Scores((*log.rounds.actions, *added), probabilities, dict(fallbacks))


class _Places:
    """Where the vectors of situations, one after another, belong in a flat matrix."""

    def __init__(self, columns: dict[str, int]) -> None:
        self._columns = columns
        self._known: dict[tuple[str, ...], list[int]] = {}
        self._waiting: list[int] = []

    def add(self, row: int, situation: Situation) -> None:
        """Notes where the vector of `row` goes."""
        eligible = situation.eligible
        columns = self._known.get(eligible)
        if columns is None:
            columns = self._known[eligible] = [self._columns[name] for name in eligible]
        start = row * len(self._columns)
        self._waiting += [start + column for column in columns]

    def next(self, count: int) -> list[int]:
        """The next `count` places, in the order they were noted."""
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken
