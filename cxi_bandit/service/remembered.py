"""What the database said of a key or a sender: remembered by a worker briefly, and longer while it is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service.throttle import Bucket, Monotonic

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_PATIENCE_SECONDS: Final = 0.25
_KEPT: Final = 10_000


class _Held(Generic[V]):
    __slots__ = ("failing", "seen_at", "value")

    def __init__(self, value: V, seen_at: float) -> None:
        self.value = value
        self.seen_at = seen_at
        self.failing = False


class Remembered(Generic[K, V]):
    """Look-ups by key, each remembered for `cache_seconds`, and for `away_seconds` while the database is away.

    One look-up of a key is under way at a time, and all who ask for it share its answer. When it fails, what is
    remembered is used without waiting, and looked up again in the background, until it is too old to be trusted.

    What nobody has (a guessed key, an invented sender) is remembered apart from what somebody has, so that guessing
    pushes nothing out, and its look-ups are paid from one bucket for the worker, so that it costs the database nothing.

    Args:
        lookup: Gives a false value for what there is not.
        guesses: What look-ups of the unknown are paid from.
    """

    def __init__(
        self,
        lookup: Callable[[K], Awaitable[V]],
        guesses: Bucket,
        *,
        cache_seconds: float,
        away_seconds: float,
        now: Monotonic = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._guesses = guesses
        self._cache_seconds = cache_seconds
        self._away_seconds = away_seconds
        self._now = now
        self._known: dict[K, _Held[V]] = {}
        self._unknown: dict[K, _Held[V]] = {}
        self._flights: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """What is true of `key`, as far as this worker can know.

        Raises:
            Unavailable: The database is away, and nothing is remembered that could still be trusted.
            RateLimited: Too many ask for what there is not; nothing was looked up.
        """
        held = self._known.get(key)
        if held is None:
            return await self._unremembered(key)
        age_seconds = self._now() - held.seen_at
        if age_seconds < self._cache_seconds:
            return held.value
        if held.failing and age_seconds <= self._away_seconds:
            self._flight(key)
            return held.value
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await asyncio.shield(self._flight(key))
        except (Unavailable, TimeoutError) as error:
            if self._now() - held.seen_at > self._away_seconds:
                raise Unavailable("the database") from error
            held.failing = True
            return held.value

    def knows(self, key: K) -> bool:
        """Whether somebody has `key`, as far as is remembered; what `get` says of it now may be otherwise."""
        return key in self._known

    async def _unremembered(self, key: K) -> V:
        absent = self._unknown.get(key)
        if absent is not None and self._now() - absent.seen_at < self._cache_seconds:
            return absent.value
        self._guesses.spend()
        value = await asyncio.shield(self._flight(key))
        if value:
            self._guesses.give_back()
        return value

    def _flight(self, key: K) -> "asyncio.Task[V]":
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.get_running_loop().create_task(self._look_up(key))
            flight.add_done_callback(_heard)
        return flight

    async def _look_up(self, key: K) -> V:
        try:
            # The moment before the look-up: what it says may be that old.
            asked_at = self._now()
            value = await self._lookup(key)
            if value:
                _keep(self._known, key, _Held(value, asked_at))
                self._unknown.pop(key, None)
            else:
                self._known.pop(key, None)
                _keep(self._unknown, key, _Held(value, asked_at))
            return value
        finally:
            del self._flights[key]


def _keep(place: dict[K, _Held[V]], key: K, held: _Held[V]) -> None:
    if len(place) >= _KEPT and key not in place:
        place.clear()
    place[key] = held


def _heard(flight: "asyncio.Task[V]") -> None:
    """A look-up in the background may fail unheard: whoever needs its answer asks again."""
    if not flight.cancelled():
        flight.exception()
