"""Logging: one JSON line per event on stderr, never a secret, never a shopper's key."""

import logging
import sys
from typing import TextIO

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from cxi_bandit.telemetry.redaction import redacted

_ENCODER = msgspec.json.Encoder(enc_hook=str)
_FREE_TEXT = ("exception", "reason")


def open_log(process: str, level: str = "info", stream: TextIO | None = None) -> FilteringBoundLogger:
    """A logger of this process's own; nothing global is configured, so importing libraries stay as they are.

    Args:
        process: `worker`, `learner`, `supervisor`: on every line.
        level: Lines below it cost one comparison.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            _withhold,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level.upper(), 20)),
        process=process,
    )
    return logger


def withheld(event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The event with its free text redacted, in place.

    Only that holds words that are not our own; the line of a usual request has none of them and costs nothing.
    """
    for name in _FREE_TEXT:
        if name in event:
            event[name] = redacted(str(event[name]))
    return event


def _withhold(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return withheld(event)


def _render(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return _ENCODER.encode(event).decode()
