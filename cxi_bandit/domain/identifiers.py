"""Names of things, and the one id we mint ourselves: the time-ordered decision id."""

import secrets
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NewType
from uuid import UUID

DecisionId = NewType("DecisionId", UUID)
PolicyName = NewType("PolicyName", str)
InterventionId = NewType("InterventionId", str)
RewardId = NewType("RewardId", str)
Source = NewType("Source", str)
ManifestSha = NewType("ManifestSha", str)
ModelVersion = NewType("ModelVersion", int)

BEFORE_ALL: Final = DecisionId(UUID(int=0))
"""Earlier than every decision: where one begins who has seen none."""
PAST_ALL: Final = DecisionId(UUID(int=(1 << 128) - 1))
"""Later than every decision."""

_COUNTER_BITS: Final = 12
_RANDOM_BITS: Final = 62
_REMEMBERED: Final = 64


class DecisionIdMint:
    """Mints UUIDv7 decision ids (RFC 9562) that never run backwards within a process.

    A clock that jumps back keeps the last millisecond and counts on from there, so ids stay monotone; the 62 random
    bits keep two processes apart. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0  # milliseconds << 12 | counter

    def mint(self, now: datetime) -> DecisionId:
        """A new id at `now` (aware), later than every id minted here before."""
        return _at(self._first_of(now, 1))

    def mint_many(self, now: datetime, count: int) -> list[DecisionId]:
        """So many ids, one later than the other, as `mint` gives them."""
        first = self._first_of(now, count)
        return [_at(tick) for tick in range(first, first + count)]

    def _first_of(self, now: datetime, count: int) -> int:
        """The first of so many ticks that are nobody else's."""
        tick = int(now.timestamp() * 1000) << _COUNTER_BITS
        with self._lock:
            first = max(tick, self._last + 1)
            self._last = first + count - 1
        return first


def _at(tick: int) -> DecisionId:
    milliseconds, counter = tick >> _COUNTER_BITS, tick & ((1 << _COUNTER_BITS) - 1)
    bits = milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | secrets.randbits(_RANDOM_BITS)
    return DecisionId(UUID(int=bits))


def minted_at(decision_id: DecisionId) -> datetime:
    """The moment a decision id carries, to the millisecond: the decision's time everywhere in the product."""
    return _moment(decision_id.int >> 80)


@lru_cache(_REMEMBERED)
def _moment(milliseconds: int) -> datetime:
    """Asked thrice about every decision, and about all those of a millisecond."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def ages_seconds(decisions: Iterable[DecisionId], now: datetime) -> list[float]:
    """How long ago each was minted, for many at once: without a `datetime` for each."""
    moment = now.timestamp()
    return [moment - (decision_id.int >> 80) / 1000 for decision_id in decisions]


def lowest_id_at(moment: datetime) -> DecisionId:
    """The smallest UUIDv7 of `moment`: bounds range scans and partitions of the decision log."""
    return DecisionId(UUID(int=int(moment.timestamp() * 1000) << 80))
