"""What the metrics say at a glance: decisions a second, how fast they were, and what waits. Of all processes."""

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from cxi_bandit.telemetry.metrics import Metrics

_DECISIONS: Final = "/v1/decisions"
_LONGEST_SECONDS: Final = 60.0
_SHORTEST_SECONDS: Final = 1.0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Counters and gauges at one moment.

    Attributes:
        at: By the monotonic clock, in seconds.
        decisions: Answered so far.
        answered: Single decisions answered with success so far, by the time it took at most, in seconds, ascending.
        spooled: Decisions on the local disk.
        queued: Entries that wait for a commit.
        away: Workers that cannot reach the decision log.
    """

    at: float
    decisions: float = 0.0
    answered: tuple[tuple[float, float], ...] = ()
    spooled: float = 0.0
    queued: float = 0.0
    away: float = 0.0


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """How the service does.

    Attributes:
        seconds: Over how long rate and latencies were taken; None where they are those since it started.
        decisions_per_second: None where `seconds` is.
        p50_seconds: Median time of a single decision; None without any.
        p99_seconds: 99th percentile of it.
    """

    seconds: float | None
    decisions_per_second: float | None
    p50_seconds: float | None
    p99_seconds: float | None
    spooled: int
    queued: int
    away: int


class Pulses:
    """Takes readings and compares each with one of about a minute ago, or with the oldest it remembers."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._remembered: deque[Reading] = deque()

    def take(self) -> Pulse:
        """Reads the metrics now. Reading them costs milliseconds; call it in a thread."""
        reading = read(self._metrics, time.monotonic())
        known = self._remembered
        while len(known) > 1 and known[1].at <= reading.at - _LONGEST_SECONDS:
            known.popleft()
        earlier = next(iter(known), None)
        if earlier is not None and reading.at - earlier.at > 2 * _LONGEST_SECONDS:
            known.clear()  # nobody looked for a while: its average would say little about now
            earlier = None
        known.append(reading)
        return pulse(earlier if earlier is None or reading.at - earlier.at >= _SHORTEST_SECONDS else None, reading)


def read(metrics: Metrics, at: float) -> Reading:
    """The reading of this moment."""
    totals: dict[str, float] = {}
    answered: dict[float, float] = {}
    for family in metrics.summed().collect():
        for sample in family.samples:
            if sample.name == "cxi_bandit_request_seconds_bucket":
                if _single_decision(sample.labels):
                    bound = float(sample.labels["le"])
                    answered[bound] = answered.get(bound, 0.0) + sample.value
            else:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return Reading(
        at=at,
        decisions=totals.get("cxi_bandit_decisions_total", 0.0),
        answered=tuple(sorted(answered.items())),
        spooled=totals.get("cxi_bandit_spool_entries", 0.0),
        queued=totals.get("cxi_bandit_queue_entries", 0.0),
        away=totals.get("cxi_bandit_decision_log_away_workers", 0.0),
    )


def pulse(earlier: Reading | None, later: Reading) -> Pulse:
    """What happened between two readings; without the earlier one, since the start."""
    before = {} if earlier is None else dict(earlier.answered)
    answered = [(bound, number - before.get(bound, 0.0)) for bound, number in later.answered]
    seconds = None if earlier is None else later.at - earlier.at
    decided = later.decisions - (0.0 if earlier is None else earlier.decisions)
    return Pulse(
        seconds=seconds,
        decisions_per_second=None if seconds is None else decided / seconds,
        p50_seconds=quantile(answered, 0.5),
        p99_seconds=quantile(answered, 0.99),
        spooled=int(later.spooled),
        queued=int(later.queued),
        away=int(later.away),
    )


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """The q-th quantile of a histogram, on a straight line within its bucket, as Prometheus reckons it.

    Args:
        buckets: Upper bounds, ascending, the last infinite, with how many were at most that.

    Returns:
        None without observations. What is beyond the last finite bound is told as that bound.
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0.0:
        return None
    wanted, low, below = share * total, 0.0, 0.0
    for bound, number in buckets:
        if number >= wanted and math.isfinite(bound):
            return low + (bound - low) * (wanted - below) / (number - below) if number > below else low
        if math.isfinite(bound):
            low, below = bound, number
    return low


def _single_decision(labels: Mapping[str, str]) -> bool:
    return labels["route"] == _DECISIONS and labels["method"] == "POST" and labels["status"].startswith("2")
