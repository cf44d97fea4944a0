"""The shelf of slots: each process takes one for itself, and empties those that dead ones left."""

import fcntl
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from cxi_bandit.store.spool.segment import Segment, sync_directory
from cxi_bandit.store.spool.slot import FileSpool


class SpoolShelf:
    """All slots of one data directory. A slot is held by a file lock, which the kernel lets go of with its process.

    Args:
        bound_bytes: Most that one slot takes of the disk.
    """

    def __init__(self, directory: Path, bound_bytes: int) -> None:
        self._directory = directory
        self._bound_bytes = bound_bytes

    def claim(self) -> FileSpool:
        """The lowest free slot, with whatever an earlier process left in it. Call it after forking."""
        for number in count():
            spool = self._held(number)
            if spool is not None:
                return spool
        raise AssertionError  # pragma: no cover - `count` never ends

    def orphan(self) -> FileSpool | None:
        """A slot that nobody holds and in which decisions wait, to be drained and closed; None when there is none."""
        for number in self._numbers():
            if any(self._slot(number).glob("*.segment")):
                spool = self._held(number)
                if spool is None:
                    continue
                if spool.waiting:
                    return spool
                spool.close()
        return None

    def _numbers(self) -> Iterator[int]:
        names = (path.name for path in self._directory.glob("*") if path.name.isdecimal())
        yield from sorted(map(int, names))

    def _slot(self, number: int) -> Path:
        return self._directory / str(number)

    def _held(self, number: int) -> FileSpool | None:
        slot = self._slot(number)
        if not slot.is_dir():
            slot.mkdir(parents=True, exist_ok=True)
            sync_directory(self._directory)
            sync_directory(self._directory.parent)
        descriptor = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        try:
            return FileSpool(slot, descriptor, self._bound_bytes)
        except BaseException:
            os.close(descriptor)
            raise


def entries_in(directory: Path) -> int:
    """How many decisions stand in the files of a spool that nobody uses, such as a copy."""
    found = 0
    for slot in sorted(directory.glob("*")):
        for segment in Segment.all_in(slot):
            found += len(segment.read_all().frames)
            segment.close()
    return found
