"""What a load is told and what it tells: the words between whoever measures and the process that sends."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

LONGEST_SECONDS: Final = 60.0
"""No load lasts longer, whatever it was told."""

_ROUNDING: Final = 1e-9


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        bodies: JSON bodies, sent in turn; at least 10,000 distinct ones keep caches honest. None: those of the order
            before.
        headers: Sent with every request, `name: value`.
        per_second: Poisson arrivals at this rate; None for a closed loop.
        once: No body is sent twice; the load ends when they are used up.
        keep: So many answers' bodies are handed back.
        seed: Of the arrivals.
    """

    port: int
    path: str
    bodies: list[str] | None
    headers: list[str] = []
    connections: int = 64
    seconds: float = 1.0
    per_second: float | None = None
    once: bool = False
    keep: int = 0
    seed: int = 1


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What came back.

    Attributes:
        answered: With a 2xx status.
        refused: With another one.
        seconds: From the first request to the last answer.
        cpu_seconds: What the client itself used meanwhile, user and system.
        p50_ms: Of the answered, from when the request was due.
        kept: Bodies of the first answers.
    """

    answered: int
    refused: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float
    kept: list[str] = []

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return self.answered / self.seconds


def rank(ordered: Sequence[float], share: float) -> float:
    """The smallest of ascending values that at least `share` of them do not exceed; NaN where there is none."""
    if not ordered:
        return math.nan
    return ordered[max(math.ceil(len(ordered) * share - _ROUNDING), 1) - 1]
