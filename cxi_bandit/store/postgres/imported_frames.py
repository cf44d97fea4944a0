"""Imported rounds as a polars frame."""

import io
from typing import Final

import msgspec
import polars as pl

from cxi_bandit.domain.decision import Features

_SCHEMA: Final = pl.Schema(
    {
        "row_number": pl.Int64,
        "logged_at": pl.Int64,
        "position": pl.Int16,
        "action": pl.Int16,
        "propensity": pl.Float64,
        "reward": pl.Float64,
        "context": pl.String,
        "subject": pl.Int64,
        "probabilities": pl.String,
    }
)


def frame_of(csv: io.BytesIO) -> pl.DataFrame:
    """The frame of what COPY wrote; `csv` stands at its end."""
    if csv.tell() == 0:
        frame = pl.DataFrame(schema=_SCHEMA)
    else:
        csv.seek(0)
        frame = pl.read_csv(csv, has_header=False, schema=_SCHEMA, null_values=[""])
    return frame.with_columns(pl.col("logged_at").cast(pl.Datetime("us", "UTC")))


def contexts(frame: pl.DataFrame) -> list[Features]:
    """The context of every round of a frame that `ImportedLogs.read` returned, features in the order imported."""
    decode = msgspec.json.Decoder(Features).decode
    return [decode(text) for text in frame["context"]]


def vectors(frame: pl.DataFrame) -> list[list[float | None]] | None:
    """The logged vector of every round of such a frame, None where an action could not be drawn; None where any round
    has none.
    """  # noqa: D205 - what it returns is the summary
    if frame.is_empty() or frame["probabilities"].null_count():
        return None
    decode = msgspec.json.Decoder(list[float | None]).decode
    return [decode(text) for text in frame["probabilities"]]
