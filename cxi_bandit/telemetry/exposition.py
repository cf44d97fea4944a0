"""The metrics of all processes as one text: each leaves its own in a directory that they share."""

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is imported: the supervisor sets it for its children, never for itself."""


def summed(own: CollectorRegistry) -> CollectorRegistry:
    """What all processes say together when they share a directory, what this one says otherwise."""
    shared = os.environ.get(MULTIPROCESS_VARIABLE)
    if not shared:
        return own
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=shared)  # type: ignore[no-untyped-call] # the package leaves it untyped
    return registry


def forget_dead_processes() -> None:
    """Removes the live gauges of processes that are gone: a killed worker cannot take its own back."""
    shared = os.environ.get(MULTIPROCESS_VARIABLE)
    for path in Path(shared).glob("gauge_live*_*.db") if shared else ():
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def forget_this_process() -> None:
    """Takes this process's live gauges back: it ends, and others of its kind go on."""
    if os.environ.get(MULTIPROCESS_VARIABLE):
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call] # the package leaves it untyped
