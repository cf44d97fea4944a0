"""A histogram for what is observed many at a time."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from prometheus_client import Histogram


class Totals(Histogram):
    """A histogram that takes many observations for the price of one: each costs two writes into shared memory."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """The same as `observe` of each, and one rounding fewer in their sum."""
        self._sum.inc(math.fsum(amounts))
        for index, number in Counter(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[index].inc(number)
