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
