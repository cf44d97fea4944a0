"""Scores kept on disk: what a candidate gives every row of a log is computed once, and read back mapped into memory."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cxi_bandit.engine.decide import ServedPolicy
from simulator.datasets.log import ReplayLog
from simulator.rounds import Floats

MOST_BYTES: Final = 4 << 30
"""Of all scores together; the longest unused give way."""

_FORMAT: Final = 1


@dataclass(frozen=True, eq=False)
class Scores:
    """A candidate's vectors for a log.

    Args:
        actions: The columns: the log's actions, then those only the candidate has.
        probabilities: Shape (n, number of columns).
        fallbacks: On how many rows the model did not speak, by reason.
    """

    actions: tuple[str, ...]
    probabilities: Floats
    fallbacks: dict[str, int]


@dataclass(frozen=True)
class ScoreShelf:
    """Scores by key in one folder, one file of numbers each. A file appears whole or not at all.

    Args:
        folder: Made when something is first put there.
        most_bytes: Of all files together.
    """

    folder: Path
    most_bytes: int = MOST_BYTES

    def find(self, key: str) -> Scores | None:
        """The scores of that key, if they are there and whole; the numbers stay on disk until they are read."""
        path = self.folder / f"{key}.npy"
        try:
            about = json.loads(path.with_suffix(".json").read_text())
            probabilities = np.asarray(np.load(path, mmap_mode="r"))
        except (OSError, ValueError, EOFError):
            return None
        os.utime(path)
        return Scores(tuple(about["actions"]), probabilities, about["fallbacks"])

    def put(self, key: str, scores: Scores) -> None:
        """Keeps them, and lets the longest unused ones go where there are too many."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{key}.npy"
        about = {"actions": scores.actions, "fallbacks": scores.fallbacks}
        path.with_suffix(".json").write_text(json.dumps(about))
        unfinished = self.folder / f"{key}.{os.getpid()}.part"
        with unfinished.open("wb") as file:
            np.save(file, scores.probabilities)
        unfinished.replace(path)
        self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        files = sorted(self.folder.glob("*.npy"), key=lambda file: file.stat().st_mtime, reverse=True)
        total = 0
        for file in files:
            total += file.stat().st_size
            if total > self.most_bytes and file != newest:
                file.unlink(missing_ok=True)
                file.with_suffix(".json").unlink(missing_ok=True)


def score_key(log: ReplayLog, served: ServedPolicy, build: str) -> str:
    """Names scores by all they depend on: log and as-of, its rows, the candidate's manifest and model, and VW's build.

    Rewards are not among it: a corrected reward leaves what the candidate would have done as it was. Erasure is,
    through the snapshot: it takes contexts away from the same rows.
    """
    snapshot = log.snapshot
    parts: list[Any] = [
        _FORMAT,
        log.name,
        None if snapshot is None else [snapshot.as_of.position, snapshot.as_of.ledger_cut, snapshot.erasure_cut],
        log.rounds.actions,
        len(log),
        served.version.manifest_sha,
        None if served.model is None else [served.model.sha256, served.warm],
        build,
    ]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for values in (log.rounds.logged_at, log.rounds.action, log.rounds.propensity):
        digest.update(np.ascontiguousarray(values).tobytes())
    for optional in (log.rounds.position, log.rounds.subject, log.rounds.eligible):
        digest.update(b"-" if optional is None else np.ascontiguousarray(optional).tobytes())
    return digest.hexdigest()
