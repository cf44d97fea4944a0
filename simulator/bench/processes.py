"""What processes used, as the kernel counts it: processor time and memory, from /proc."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cxi_bandit.domain.errors import Unavailable

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS: Final = 0.25
_IDLE_SHARE: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 4.0


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that living processes have used so far, to a hundredth of a second each.

    Raises:
        Unavailable: One of them has ended.
    """
    return sum(int(fields[11]) + int(fields[12]) for fields in map(_stat, pids)) / _TICKS


def settle(pid: int) -> None:
    """Waits until a process and all its children have next to nothing to do, for a few seconds at most."""
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    busy = True
    while busy and time.monotonic() < deadline:
        family = [pid, *descendants(pid)]
        before = cpu_seconds(family)
        time.sleep(_LOOK_SECONDS)
        busy = cpu_seconds(family) - before > _IDLE_SHARE * _LOOK_SECONDS


def descendants(pid: int) -> list[int]:
    """A process's children and theirs, those that live now."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except Unavailable:
                continue  # it ended while we looked
    found = list(children.get(pid, []))
    for one in found:
        found += children.get(one, [])
    return found


def command(pid: int) -> str:
    """The words a process was started with; empty when it has ended."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def proportional_bytes(pid: int) -> int:
    """Memory of a process, what it shares counted in equal parts (PSS).

    Raises:
        Unavailable: It has ended.
    """
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError as error:
        raise Unavailable(f"process {pid}") from error
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _stat(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError as error:
        raise Unavailable(f"process {pid}") from error
