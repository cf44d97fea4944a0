"""Logs in and out: Parquet, VW's DSJSON, and any table through a mapping of its columns."""

from simulator.exchange.dsjson import DsjsonFile, write_dsjson
from simulator.exchange.exporting import LogFrames, frames_of_live, frames_of_stored
from simulator.exchange.foreign import ForeignLog
from simulator.exchange.mapping import Mapping, read_mapping
from simulator.exchange.parquet import ParquetFile, write_parquet
from simulator.exchange.tables import Table, TableFile, rounds_from_table

__all__ = [
    "DsjsonFile",
    "ForeignLog",
    "LogFrames",
    "Mapping",
    "ParquetFile",
    "Table",
    "TableFile",
    "frames_of_live",
    "frames_of_stored",
    "read_mapping",
    "rounds_from_table",
    "write_dsjson",
    "write_parquet",
]
