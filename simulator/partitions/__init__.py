"""A log evaluated part by part: sums that can be added, gathered in this process, in several, or on a Ray cluster."""

from simulator.partitions.engines import ENGINES, Engine, OneProcess, Processes, engine_of
from simulator.partitions.evaluate import evaluate_partitions
from simulator.partitions.partition import ArrayFiles, ArraySlice, ArrayWriter, Partition, Source, array_slices
from simulator.partitions.whole_log import evaluate_on

__all__ = [
    "ENGINES",
    "ArrayFiles",
    "ArraySlice",
    "ArrayWriter",
    "Engine",
    "OneProcess",
    "Partition",
    "Processes",
    "Source",
    "array_slices",
    "engine_of",
    "evaluate_on",
    "evaluate_partitions",
]
