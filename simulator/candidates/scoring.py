"""Scoring a log with a served policy, through the engine's own distribution: floors and fallbacks exactly as served."""

from collections import Counter

import numpy as np

from cxi_bandit.engine.decide import ServedPolicy, distribution
from simulator.candidates.candidate import Prepared
from simulator.datasets.log import ReplayLog
from simulator.progress import Track

_REPORT_EVERY = 256


def score(log: ReplayLog, served: ServedPolicy, track: Track) -> Prepared:
    """The policy's probabilities for every row of the log; its notes say where it was not the model that spoke."""
    situations = log.contexts
    manifest = served.manifest
    columns = {name: column for column, name in enumerate(log.rounds.actions)}
    for name in manifest.catalogue:
        columns.setdefault(name, len(columns))
    probabilities = np.zeros((len(log), len(columns)))
    fallbacks: Counter[str] = Counter()
    with track("Scoring the candidate", len(log)) as advance:
        for row in range(len(log)):
            situation = situations.situation(row, manifest)
            drawn_from = distribution(served, situation)
            probabilities[row, [columns[name] for name in situation.eligible]] = drawn_from.probabilities
            if drawn_from.fallback is not None:
                fallbacks[drawn_from.fallback.value] += 1
            if row % _REPORT_EVERY == _REPORT_EVERY - 1:
                advance(_REPORT_EVERY)
        advance(len(log) % _REPORT_EVERY)
    known = log.rounds.n_actions
    added = [name for name in columns if columns[name] >= known and probabilities[:, columns[name]].any()]
    kept = [columns[name] for name in (*log.rounds.actions, *added)]
    notes = tuple(
        f"on {count} of {len(log)} rows the candidate's model did not speak ({reason}); it is scored as it is served"
        for reason, count in fallbacks.items()
    )
    return Prepared(
        log=log.widened(added),
        probabilities=probabilities[:, kept],
        manifest_sha=served.version.manifest_sha,
        model_sha=None if served.model is None else served.model.sha256,
        notes=notes,
    )
