"""A log as frames of one schema, whatever it came from: what every export is written from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.imported import ImportedLog
from cxi_bandit.store.postgres.imported_frames import vectors
from simulator.datasets.log import ReplayLog
from simulator.exchange.foreign import Declared
from simulator.progress import Track, silent

BATCH_ROWS: Final = 20_000

SCHEMA: Final[Mapping[str, Any]] = {
    "event_id": pl.String(),
    "logged_at": pl.Datetime("us", "UTC"),
    "position": pl.Int16(),
    "subject": pl.Int64(),
    "action": pl.String(),
    "propensity": pl.Float64(),
    "reward": pl.Float64(),
    "probabilities": pl.List(pl.Float64()),
    "context": pl.String(),
}
"""Of exported rows: `position` counts from 1; `probabilities` goes over the catalogue, null where an action could not
be drawn; `context` is JSON text. What a log does not know is null in every row."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LogFrames:
    """A log to export.

    Args:
        name: Of the log.
        declared: What is known of the whole log.
        rows: How many.
        batches: Frames of `SCHEMA` in order; read once.
    """

    name: str
    declared: Declared
    rows: int
    batches: Iterator[pl.DataFrame]


def frames_of_stored(log: ImportedLog, frame: pl.DataFrame, track: Track = silent) -> LogFrames:
    """An imported log, `frame` as its shelf reads it, in the order it was imported."""

    def batches() -> Iterator[pl.DataFrame]:
        with track("Exporting", len(frame)) as advance:
            for part in frame.iter_slices(BATCH_ROWS):
                numbers, whole = part["row_number"].to_list(), vectors(part)
                yield pl.DataFrame(
                    {
                        "event_id": [f"{log.name}-{number}" for number in numbers],
                        "logged_at": part["logged_at"],
                        "position": part["position"],
                        "subject": part["subject"],
                        "action": [log.actions[index] for index in part["action"]],
                        "propensity": part["propensity"],
                        "reward": part["reward"],
                        "probabilities": [None] * len(part) if whole is None else whole,
                        "context": part["context"],
                    },
                    schema=SCHEMA,
                )
                advance(len(part))

    declared = Declared(
        actions=log.actions,
        action_features=log.action_features,
        reward_range=(log.reward_min, log.reward_max),
        smallest_propensity=log.smallest_propensity,
    )
    return LogFrames(name=log.name, declared=declared, rows=len(frame), batches=batches())


def frames_of_live(log: ReplayLog, track: Track = silent) -> LogFrames:
    """A policy's live log. The defect becomes context: `defect`, `severity` and `confidence`."""

    def batches() -> Iterator[pl.DataFrame]:
        with track("Exporting", len(log)) as advance:
            for start in range(0, len(log), BATCH_ROWS):
                yield _live(log, start, min(start + BATCH_ROWS, len(log)))
                advance(min(BATCH_ROWS, len(log) - start))

    by_name = {entry.id: entry.features for entry in log.manifest.interventions}
    declared = Declared(
        actions=log.rounds.actions,
        action_features=tuple(by_name.get(name, {}) for name in log.rounds.actions),
        reward_range=log.reward_range,
        smallest_propensity=log.smallest_propensity,
    )
    return LogFrames(name=log.name, declared=declared, rows=len(log), batches=batches())


def _live(log: ReplayLog, start: int, stop: int) -> pl.DataFrame:
    rounds, rows = log.rounds, range(start, stop)
    training = [log.contexts.training_row(row, log.manifest) for row in rows]
    contexts = []
    for row in training:
        situation = row.decision.situation
        defect = situation.defect
        context: Features = {"defect": defect.type, "severity": defect.severity, "confidence": defect.confidence}
        contexts.append(msgspec.json.encode({**situation.context, **context}).decode())
    unknown: list[Any] = [None] * len(rows)
    probabilities = unknown
    if rounds.probabilities is not None:
        drawable = rounds.probabilities[start:stop] > 0 if rounds.eligible is None else rounds.eligible[start:stop]
        probabilities = [
            [p if could else None for p, could in zip(vector, possible, strict=True)]
            for vector, possible in zip(rounds.probabilities[start:stop].tolist(), drawable.tolist(), strict=True)
        ]
    return pl.DataFrame(
        {
            "event_id": [str(row.decision.decision_id) for row in training],
            "logged_at": np.round(rounds.logged_at[start:stop] * 1e6).astype(np.int64),
            "position": unknown if rounds.position is None else rounds.position[start:stop] + 1,
            "subject": unknown if rounds.subject is None else rounds.subject[start:stop],
            "action": [rounds.actions[index] for index in rounds.action[start:stop]],
            "propensity": rounds.propensity[start:stop],
            "reward": rounds.reward[start:stop],
            "probabilities": probabilities,
            "context": contexts,
        },
        schema={**SCHEMA, "logged_at": pl.Int64()},
    ).with_columns(pl.col("logged_at").cast(pl.Datetime("us", "UTC")))
