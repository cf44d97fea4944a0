"""A slot: one process's spool, a directory of segments that nobody else touches while it is held."""

import os
import threading
from collections import deque
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cxi_bandit.domain.errors import SpoolFull
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.spool.frames import HEAD_BYTES
from cxi_bandit.store.spool.segment import Segment

_LARGEST_SEGMENT: Final = 8 * 1024 * 1024
_SEGMENTS: Final = 8
_ORDINARY_BYTES: Final = 16 * 1024
"""More than a decision takes, unless it was asked about a whole catalogue."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(DecisionEntry)

_Key = tuple[str, str]


class _Frame(NamedTuple):
    """Where an entry stands, and the Idempotency-Key it came with."""

    segment: Segment
    start: int
    length: int
    key: _Key | None

    def entry(self) -> DecisionEntry | None:
        """The entry, read back; None when it cannot be."""
        payload = self.segment.read_one(self.start, self.length)
        try:
            return None if payload is None else _decoder.decode(payload)
        except msgspec.MsgspecError:
            return None


class FileSpool:
    """Spool in files. Whoever makes it holds the lock on `directory`, and gives its descriptor to be closed with it.

    Segments found at the start are only read; what is new goes into new ones, so nothing is ever written after a torn
    frame. A segment whose entries are all released is removed, or kept aside where some of it could not be read.

    Args:
        bound_bytes: Most that all segments together take of the disk.
    """

    def __init__(self, directory: Path, lock_descriptor: int, bound_bytes: int) -> None:
        self._directory = directory
        self._lock_descriptor = lock_descriptor
        self._bound_bytes = bound_bytes
        self._segment_bytes = min(_LARGEST_SEGMENT, bound_bytes // _SEGMENTS)
        self._lock = threading.Lock()
        self._by_key: dict[_Key, _Frame] = {}
        self._waiting: dict[int, deque[_Frame]] = {}
        self._reading: list[_Frame] = []
        self._unreadable = 0
        self._closed = False
        self._spoilt: set[int] = set()
        self._damaged = 0
        self._current: Segment | None = None
        self._segments = Segment.all_in(directory)
        for segment in self._segments:
            self._take_up(segment)
        self._next_number = Segment.next_number(directory)
        self._tidy()

    @property
    def waiting(self) -> int:
        """See the port."""
        return sum(map(len, list(self._waiting.values())))

    @property
    def damaged(self) -> int:
        """See the port."""
        return self._damaged

    def append(self, entries: Sequence[DecisionEntry]) -> None:
        """See the port. One fsync for all of them."""
        payloads = [_encode(entry) for entry in entries]
        with self._lock:
            segment = self._with_room(sum(HEAD_BYTES + len(payload) for payload in payloads))
            try:
                starts = segment.append(payloads)
            except OSError as error:
                # After a failed fsync the kernel may have dropped the pages: only another file can be trusted.
                self._current = None
                raise SpoolFull from error
            for entry, payload, start in zip(entries, payloads, starts, strict=True):
                self._note(segment, start, len(payload), entry)

    def find(self, caller: str, key: str) -> DecisionEntry | None:
        """See the port. Takes no lock: an append waits for the disk under it, and an event loop must not."""
        frame = self._by_key.get((caller, key))
        return None if frame is None else frame.entry()

    def read(self, limit: int) -> list[DecisionEntry]:
        """See the port."""
        with self._lock:
            oldest_first = chain.from_iterable(self._waiting[segment.number] for segment in self._segments)
            self._reading = list(islice(oldest_first, limit))
            found = [entry for frame in self._reading if (entry := frame.entry()) is not None]
            self._unreadable = len(self._reading) - len(found)
            return found

    def release(self, *, damaged: int = 0) -> None:
        """See the port."""
        with self._lock:
            if self._closed:
                return
            damaged += self._unreadable
            if damaged:
                self._damaged += damaged
                self._spoilt.update(frame.segment.number for frame in self._reading)
            for frame in self._reading:
                self._waiting[frame.segment.number].popleft()
                if frame.key is not None and self._by_key.get(frame.key) == frame:
                    del self._by_key[frame.key]
            self._reading = []
            self._tidy()

    def has_room(self) -> bool:
        """Whether one more would be taken, as far as can be told without asking the disk."""
        current = self._current
        if current is not None and current.room >= _ORDINARY_BYTES:
            return True
        return sum(segment.size for segment in list(self._segments)) + self._segment_bytes <= self._bound_bytes

    def close(self) -> None:
        """See the port. An empty slot leaves no segment behind."""
        with self._lock:
            self._closed = True
            self._current = None
            self._clear_away()
            for segment in self._segments:
                segment.close()
            self._segments = []
            os.close(self._lock_descriptor)

    def _take_up(self, segment: Segment) -> None:
        self._waiting[segment.number] = deque()
        found = segment.read_all()
        damaged = found.damaged
        for start, payload in found.frames:
            try:
                self._note(segment, start, len(payload), _decoder.decode(payload))
            except msgspec.MsgspecError:
                damaged += 1
        if damaged:
            self._damaged += damaged
            self._spoilt.add(segment.number)

    def _note(self, segment: Segment, start: int, length: int, entry: DecisionEntry) -> None:
        token = entry.idempotency
        key = None if token is None else (token.caller, token.key)
        frame = _Frame(segment, start, length, key)
        if key is not None:
            self._by_key.setdefault(key, frame)
        self._waiting[segment.number].append(frame)

    def _with_room(self, needed: int) -> Segment:
        if self._current is None or self._current.room < needed:
            self._current = self._new(max(self._segment_bytes, needed))
        return self._current

    def _new(self, size: int) -> Segment:
        if sum(segment.size for segment in self._segments) + size > self._bound_bytes:
            raise SpoolFull
        try:
            segment = Segment.create(self._directory, self._next_number, size)
        except OSError as error:
            raise SpoolFull from error
        self._next_number += 1
        self._segments.append(segment)
        self._waiting[segment.number] = deque()
        return segment

    def _tidy(self) -> None:
        """Removes what is drained, and has a segment ready before it is needed: the disk may be full by then."""
        self._clear_away()
        if self._current is None:
            try:
                self._current = self._new(self._segment_bytes)
            except SpoolFull:
                return

    def _clear_away(self) -> None:
        for segment in list(self._segments):
            unused = segment is self._current and segment.end == 0
            if self._waiting[segment.number] or unused:
                continue
            if segment is self._current:
                self._current = None
            segment.discard(damaged=segment.number in self._spoilt)
            self._segments.remove(segment)
            del self._waiting[segment.number]
