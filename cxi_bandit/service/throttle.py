"""Token buckets: how much one caller may ask of one worker. A few hundred nanoseconds, no await, no database."""

import time
from collections.abc import Callable
from typing import Final

from litestar.types import Scope

from cxi_bandit.domain.errors import CxiBanditError

Monotonic = Callable[[], float]

_BUCKET: Final = "cxi_bandit_bucket"
_ROUNDING_SECONDS: Final = 1e-6


class RateLimited(CxiBanditError):
    """A caller asks more than its rate and burst allow; `retry_after_seconds` later the same would be granted."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"too much at once for this caller's rate; try again in {retry_after_seconds:.3g} s")
        self.retry_after_seconds = retry_after_seconds


class Bucket:
    """A bucket of `burst` tokens that fills by `per_second`, kept as one number: the moment at which it is full again.

    That form (the generic cell rate algorithm) needs no refilling and cannot drift.

    Args:
        per_second: Tokens; 0 for no limit at all.
        burst: Tokens, at least 1.
    """

    __slots__ = ("_burst", "_full_at", "_now", "_per_second")

    def __init__(self, per_second: float, burst: float, now: Monotonic = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self._full_at = 0.0

    def spend(self, tokens: float = 1.0) -> None:
        """Takes tokens out, all or none.

        Raises:
            RateLimited: There are too few; none was taken.
        """
        if not self._per_second:
            return
        now = self._now()
        full_at = max(self._full_at, now) + tokens / self._per_second
        wait_seconds = full_at - now - self._burst / self._per_second
        if wait_seconds > _ROUNDING_SECONDS:
            raise RateLimited(wait_seconds)
        self._full_at = full_at

    def spend_rest(self, items: int) -> None:
        """Takes out what `items` cost beyond the token their request has cost already.

        However many they are, together they cost no more than a full bucket: the longest batch can always pass.

        Raises:
            RateLimited: There are too few tokens; none was taken.
        """
        self.spend(max(min(items, self._burst) - 1.0, 0.0))

    def give_back(self, tokens: float = 1.0) -> None:
        """Undoes a spending that turned out to cost nothing."""
        if self._per_second:
            self._full_at -= tokens / self._per_second


class Throttle:
    """One bucket for each caller of this worker; what is not stated of a caller is as the settings say."""

    def __init__(self, per_second: float, burst: float, now: Monotonic = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self._buckets: dict[str, Bucket] = {}

    def bucket(self, caller: str, per_second: float | None = None, burst: float | None = None) -> Bucket:
        """The caller's bucket, full at first sight. There are as many as known callers: nobody else gets one."""
        found = self._buckets.get(caller)
        if found is None:
            found = self._buckets[caller] = Bucket(
                self._per_second if per_second is None else per_second,
                self._burst if burst is None else burst,
                self._now,
            )
        return found


def charge_to(scope: Scope, bucket: Bucket) -> None:
    """Notes who pays for a request, and takes the token that every request costs.

    Raises:
        RateLimited: There is none.
    """
    scope["state"][_BUCKET] = bucket
    bucket.spend()


def charge_items(scope: Scope, items: int) -> None:
    """Charges a request for its items, once they are counted.

    Raises:
        RateLimited: They are too many for now.
    """
    bucket: Bucket = scope["state"][_BUCKET]
    bucket.spend_rest(items)
