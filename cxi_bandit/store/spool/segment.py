"""A segment: one preallocated file of frames, written from its start to its end and never over."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from cxi_bandit.store.spool.frames import HEAD_BYTES, Found, framed, read_frames, whole_frame

_SUFFIX: Final = ".segment"
_DAMAGED: Final = ".damaged"


class Segment:
    """Made by `create` for writing, by `open` for reading what an earlier process left."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.number = int(path.stem)
        self.size = size
        self.end = 0
        self._descriptor = descriptor

    @classmethod
    def create(cls, directory: Path, number: int, size: int) -> Self:
        """A new file with all its blocks: whatever else fills the disk later, this much can be written.

        Raises:
            OSError: The disk does not have that much.
        """
        path = directory / f"{number:020}{_SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            os.fsync(descriptor)
            sync_directory(directory)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, size)

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing file."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return cls(path, descriptor, os.fstat(descriptor).st_size)

    @classmethod
    def all_in(cls, directory: Path) -> list[Self]:
        """Every segment of a directory, oldest first."""
        return [cls.open(path) for path in sorted(directory.glob(f"*{_SUFFIX}"))]

    @classmethod
    def next_number(cls, directory: Path) -> int:
        """A number above that of every file there, those kept aside too, and of those that were there before today.

        Milliseconds keep numbers from coming again once all files are gone: an earlier file's frames are never taken
        for those of a later one on the same disk blocks.
        """
        taken = (int(path.stem) for path in directory.iterdir() if path.suffix in (_SUFFIX, _DAMAGED))
        return max(time.time_ns() // 1_000_000, 1 + max(taken, default=0))

    @property
    def room(self) -> int:
        """Bytes that can still be written."""
        return self.size - self.end

    def append(self, payloads: list[bytes]) -> list[int]:
        """Writes frames and waits until they are on the disk; returns where each starts.

        Raises:
            OSError: Nothing may be taken for written, and the segment must not be written again.
        """
        starts, frames, place = [], [], self.end
        for payload in payloads:
            frame = framed(payload, self.number)
            starts.append(place)
            frames.append(frame)
            place += len(frame)
        try:
            self._write(b"".join(frames))
        except OSError:
            # What was refused must not be found again after a crash; on a failing disk this may fail as well.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.end)
                os.fsync(self._descriptor)
            raise
        self.end = place
        return starts

    def _write(self, frames: bytes) -> None:
        data = memoryview(frames)
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], self.end + written)
        os.fdatasync(self._descriptor)

    def read_all(self) -> Found:
        """Every whole frame of the file."""
        return read_frames(os.pread(self._descriptor, self.size, 0), self.number)

    def read_one(self, start: int, length: int) -> bytes | None:
        """The payload of `length` bytes whose frame starts there; None when it cannot be read back."""
        try:
            data = os.pread(self._descriptor, HEAD_BYTES + length, start)
        except OSError:
            return None
        return whole_frame(data, 0, self.number)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._descriptor)

    def discard(self, *, damaged: bool) -> None:
        """Removes the file once all in it is in the log; one that could not be read wholly is kept for a person."""
        self.close()
        if damaged:
            self.path.rename(self.path.with_suffix(_DAMAGED))
        else:
            self.path.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Makes a new name durable: a file that is synced but not in its directory is lost all the same."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
