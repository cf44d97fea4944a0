"""Frames: how a spooled decision stands in a file, so that a torn or rotten one is seen and costs only itself.

A frame is a mark, the payload's length, a CRC-32 over the segment's own number, the length and the payload, then the
payload. The number keeps what an earlier life of the same disk blocks left behind from being taken for a frame.
"""

import struct
import zlib
from typing import Final, NamedTuple

_MARK: Final = b"\xc7XI\x01"
_HEAD: Final = struct.Struct("<4sII")


HEAD_BYTES: Final = _HEAD.size


class Found(NamedTuple):
    """What reading a segment gave: where each whole frame starts, its payload, and how many gaps there were."""

    frames: list[tuple[int, bytes]]
    damaged: int


def framed(payload: bytes, segment: int) -> bytes:
    """The frame of a payload within the segment of that number."""
    return _HEAD.pack(_MARK, len(payload), _checksum(payload, segment)) + payload


def whole_frame(data: bytes, start: int, segment: int) -> bytes | None:
    """The payload of the frame that starts there, or None where no whole one does."""
    if not data.startswith(_MARK, start) or start + HEAD_BYTES > len(data):
        return None
    _, length, checksum = _HEAD.unpack_from(data, start)
    payload = data[start + HEAD_BYTES : start + HEAD_BYTES + length]
    return payload if len(payload) == length and _checksum(payload, segment) == checksum else None


def read_frames(data: bytes, segment: int) -> Found:
    """All whole frames of a segment's bytes.

    What does not check is passed over up to the next frame that does: rot in one frame loses that one. Anything but
    zeros behind the last whole frame counts too: a crash tore a write that was never answered for, or the disk rotted.
    """
    frames: list[tuple[int, bytes]] = []
    end = damaged = 0
    start = data.find(_MARK)
    while start >= 0:
        payload = whole_frame(data, start, segment)
        if payload is None:
            start = data.find(_MARK, start + 1)
            continue
        damaged += start > end
        frames.append((start, payload))
        end = start + HEAD_BYTES + len(payload)
        start = data.find(_MARK, end)
    return Found(frames, damaged + bool(data[end:].strip(b"\0")))


def _checksum(payload: bytes, segment: int) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<QI", segment, len(payload))))
