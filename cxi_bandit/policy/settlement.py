"""What a decision earned: a pure function of its reward events, whatever the order they arrived in."""

import math
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from cxi_bandit.domain.identifiers import InterventionId, RewardId, Source
from cxi_bandit.domain.outcome import Settlement
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.policy.manifest import Manifest, Metric

_Key = tuple[Source, RewardId]

CLOCK_TOLERANCE: Final = timedelta(hours=1)
"""By how much a reward may seem to have occurred before its decision and still count.

Whoever names a decision has been told of it, so the event came after it, whatever the clocks said: the sender's may be
behind, and the service's may have been set back, when ids go on from where they were.
"""

_MOST: Final = sys.float_info.max


def quarantine_reason(manifest: Manifest, metric: str, value: float | None) -> str | None:
    """Why a reward may not be counted under this manifest, or None when it may."""
    declared = manifest.reward.metrics.get(metric)
    if declared is None:
        return f"metric {metric!r} is not declared by policy {manifest.name}"
    if value is not None and not _countable(declared, value):
        return f"value {value!r} of {metric!r} lies outside the declared [{declared.min:g}, {declared.max:g}]"
    return None


def _countable(metric: Metric, value: float) -> bool:
    """Whether the value, as it was sent or clipped where the manifest clips, may be counted. Infinity and NaN never."""
    return metric.min <= value <= metric.max or (metric.outliers == "clip" and math.isfinite(value))


def standing_value(manifest: Manifest, entries: Sequence[LedgerEntry], event: RewardEvent) -> float | None:
    """The value, not clipped, that stands for one of a decision's events after its amendments; None when taken back."""
    return _Amended(manifest, (entry.event for entry in entries)).standing(event)


def settle(
    manifest: Manifest,
    intervention: InterventionId,
    window: tuple[datetime, datetime],
    entries: Sequence[LedgerEntry],
) -> Settlement:
    """The outcome of a decision from its ledger entries up to some cut.

    An amendment (correction or retraction) belongs to the event it names, of the same source; of several the latest by
    `occurred_at`, then by id, stands. A correction whose metric is another one, or whose value that metric does not
    allow, amends nothing; a retracted amendment is as if it had never been sent. A reward counts when it occurred
    within the window, both ends included and at its beginning an hour more for clocks that differ, and the value that
    stands for it lies in its metric's range, or, where the manifest clips outliers, counts at the bound. The manifest
    alone judges, never what was thought of an event on receipt, and sums are exact before they are rounded once: so
    neither the order of `entries` nor the order of their arrival can show.

    Args:
        window: When the decision was made and when its attribution window closes.
        entries: All of the decision's entries; those of other decisions must not be among them.
    """
    reward = manifest.reward
    values: dict[str, list[tuple[datetime, _Key, float]]] = {}
    for event, value in _Amended(manifest, (entry.event for entry in entries)).originals():
        if value is None or not window[0] - CLOCK_TOLERANCE <= event.occurred_at <= window[1]:
            continue
        if quarantine_reason(manifest, event.metric, value) is None:
            metric = reward.metrics[event.metric]
            counted = min(max(value, metric.min), metric.max)
            values.setdefault(event.metric, []).append((event.occurred_at, _key(event), counted))
    metrics = {name: _aggregate(metric, values[name]) for name, metric in reward.metrics.items() if name in values}
    weighted = [_finite(reward.metrics[name].weight * value) for name, value in metrics.items()]
    gross = _summed(weighted) if weighted else reward.default
    net = gross - manifest.intervention(intervention).cost
    return Settlement(
        reward=min(max(net, reward.min), reward.max),
        metrics=metrics,
        counted=sum(len(observed) for observed in values.values()),
        completed=bool(metrics),
    )


class _Amended:
    """A decision's events, and what stands for each original once its amendments are taken into account."""

    def __init__(self, manifest: Manifest, events: Iterable[RewardEvent]) -> None:
        self._manifest = manifest
        self._originals: list[RewardEvent] = []
        self._amendments: dict[_Key, list[RewardEvent]] = {}
        for event in events:
            target = event.corrects or event.retracts
            if target is None:
                self._originals.append(event)
            else:
                self._amendments.setdefault((event.source, target), []).append(event)
        for amendments in self._amendments.values():
            amendments.sort(key=lambda event: (event.occurred_at, event.reward_id), reverse=True)

    def originals(self) -> list[tuple[RewardEvent, float | None]]:
        """Every original reward with the value that stands for it; None once it is retracted."""
        return [(event, self.standing(event)) for event in self._originals]

    def standing(self, original: RewardEvent) -> float | None:
        """The value that stands for an event once those below it are taken into account; None once it is retracted."""
        # An amendment names one event, so those below an original are a tree; a ring of them has no original above it.
        # From the leaves up, without recursion: a sender may chain as many as it likes.
        tree = [original]
        for event in tree:
            tree.extend(self._amendments.get(_key(event), ()))
        values: dict[_Key, float | None] = {}
        withdrawn: set[_Key] = set()
        for event in reversed(tree):
            key = _key(event)
            values[key] = event.value
            for amendment in self._amendments.get(key, ()):
                if _key(amendment) in withdrawn:
                    continue
                if amendment.retracts is not None:
                    withdrawn.add(key)
                    break
                value = values[_key(amendment)]
                if amendment.metric == original.metric and not quarantine_reason(
                    self._manifest, original.metric, value
                ):
                    values[key] = value
                    break
        return None if _key(original) in withdrawn else values[_key(original)]


def _key(event: RewardEvent) -> _Key:
    return event.source, event.reward_id


def _aggregate(metric: Metric, observed: list[tuple[datetime, _Key, float]]) -> float:
    match metric.aggregate:
        case "sum":
            return _summed([value for _, _, value in observed])
        case "max":
            return max(value for _, _, value in observed)
        case "last":
            return max(observed)[2]


def _summed(values: Sequence[float]) -> float:
    """The sum of finite values, the nearest float to it, and the largest float where it is larger still.

    One sum that raised would stop the sequencer, and with it every policy's learning. `fsum` may also overflow on the
    way to a sum that is no large number at all, in one order of the values and not in another; fractions never do.
    """
    try:
        return math.fsum(values)
    except OverflowError:
        return float(min(max(sum(map(Fraction, values)), -_MOST), _MOST))


def _finite(value: float) -> float:
    return min(max(value, -_MOST), _MOST)
