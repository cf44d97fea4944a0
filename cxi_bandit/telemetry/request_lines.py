"""The canonical line of each request: as `open_log` would write it, but those of one moment in one piece."""

import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

from cxi_bandit.telemetry.log import withheld

_ENCODER: Final = msgspec.json.Encoder(enc_hook=str)


class RequestLines:
    """Writes what `open_log(process, level, stream).info("request", **facts)` would, at a tenth of its cost."""

    def __init__(self, process: str, level: str = "info", stream: TextIO | None = None) -> None:
        self._process = process
        self._stream = stream or sys.stderr
        self.wanted = logging.getLevelNamesMapping().get(level.upper(), logging.INFO) <= logging.INFO

    def write(self, requests: Sequence[dict[str, object]]) -> None:
        """One line for each, in order, in one write."""
        head: dict[str, object] = {"process": self._process}
        tail = {"event": "request", "level": "info", "at": datetime.now(UTC)}
        lines = _ENCODER.encode_lines([{**head, **withheld(facts), **tail} for facts in requests])
        self._stream.write(lines.decode())
        self._stream.flush()
