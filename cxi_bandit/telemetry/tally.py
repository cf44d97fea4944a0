"""Counts kept in memory within one turn of the event loop, and handed to Prometheus together at its end."""

import asyncio

from prometheus_client import Counter


class Tally:
    """One counter, counted from the event loop. A shared memory file is written once a turn, not once a request."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._children: dict[tuple[str, ...], Counter] = {}
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str) -> None:
        """One more of these labels, which must be few: each keeps its place."""
        if not self._counts:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def _hand_over(self) -> None:
        counts, self._counts = self._counts, {}
        for labels, number in counts.items():
            child = self._children.get(labels)
            if child is None:
                child = self._children[labels] = self._counter.labels(*labels)
            child.inc(number)
