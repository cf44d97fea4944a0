"""What a decision earned: a pure function of its reward events, whatever the order they arrived in."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.outcome import Settlement
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardKey
from cxi_bandit.policy.manifest import Manifest, Metric, Reward

_Value = tuple[datetime, RewardKey, float, int]
"""When, which event, its value, and into how many equal parts that is divided; one of them counts here."""

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
    return _Amended(manifest, entries).standing(event)


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
    stands for it lies in its metric's range, or, where the manifest clips outliers, counts at the bound. Where the
    decision has only a part of an event, the value that stands is judged whole and then divided, before anything is
    aggregated. The manifest alone judges, never what was thought of an event on receipt, and sums are exact before they
    are rounded once: so neither the order of `entries` nor the order of their arrival can show.

    Args:
        window: When the decision was made and when its attribution window closes.
        entries: All of the decision's entries; those of other decisions must not be among them.
    """
    reward = manifest.reward
    values: dict[str, list[_Value]] = {}
    for entry, value in _Amended(manifest, entries).originals():
        event = entry.event
        if value is None or not window[0] - CLOCK_TOLERANCE <= event.occurred_at <= window[1]:
            continue
        if quarantine_reason(manifest, event.metric, value) is None:
            metric = reward.metrics[event.metric]
            counted = min(max(value, metric.min), metric.max)
            values.setdefault(event.metric, []).append((event.occurred_at, event.key, counted, entry.parts))
    metrics = {name: _aggregate(metric, values[name]) for name, metric in reward.metrics.items() if name in values}
    return Settlement(
        reward=worth(reward, metrics, manifest.intervention(intervention).cost),
        metrics=metrics,
        counted=sum(len(observed) for observed in values.values()),
        completed=bool(metrics),
    )


def worth(reward: Reward, metrics: Mapping[str, float], cost: float) -> float:
    """The reward of an outcome with these aggregates: weighted, less the intervention's cost, within the range.

    Args:
        metrics: Those that the reward does not declare weigh nothing.
        cost: In the reward's own unit.
    """
    weighted = [
        _finite(reward.metrics[name].weight * value) for name, value in metrics.items() if name in reward.metrics
    ]
    net = (_summed(weighted) if weighted else reward.default) - cost
    return min(max(net, reward.min), reward.max)


class _Amended:
    """A decision's events, and what stands for each original once its amendments are taken into account."""

    def __init__(self, manifest: Manifest, entries: Iterable[LedgerEntry]) -> None:
        self._manifest = manifest
        self._originals: list[LedgerEntry] = []
        self._amendments: dict[RewardKey, list[RewardEvent]] = {}
        for entry in entries:
            target = entry.event.amends
            if target is None:
                self._originals.append(entry)
            else:
                self._amendments.setdefault(target, []).append(entry.event)
        for amendments in self._amendments.values():
            amendments.sort(key=lambda event: (event.occurred_at, event.reward_id), reverse=True)

    def originals(self) -> list[tuple[LedgerEntry, float | None]]:
        """Every original reward with the value that stands for it; None once it is retracted."""
        return [(entry, self.standing(entry.event)) for entry in self._originals]

    def standing(self, original: RewardEvent) -> float | None:
        """The value that stands for an event once those below it are taken into account; None once it is retracted."""
        if not self._amendments:
            return original.value
        # An amendment names one event, so those below an original are a tree; a ring of them has no original above it.
        # From the leaves up, without recursion: a sender may chain as many as it likes.
        tree = [original]
        for event in tree:
            tree.extend(self._amendments.get(event.key, ()))
        values: dict[RewardKey, float | None] = {}
        withdrawn: set[RewardKey] = set()
        for event in reversed(tree):
            key = event.key
            values[key] = event.value
            for amendment in self._amendments.get(key, ()):
                if amendment.key in withdrawn:
                    continue
                if amendment.retracts is not None:
                    withdrawn.add(key)
                    break
                value = values[amendment.key]
                if amendment.metric == original.metric and not quarantine_reason(
                    self._manifest, original.metric, value
                ):
                    values[key] = value
                    break
        return None if original.key in withdrawn else values[original.key]


def _aggregate(metric: Metric, observed: list[_Value]) -> float:
    match metric.aggregate:
        case "sum":
            return _shared(observed)
        case "max":
            return max(value / parts for _, _, value, parts in observed)
        case "last":
            _, _, value, parts = max(observed)
            return value / parts


def _shared(observed: list[_Value]) -> float:
    """The sum of this decision's parts, exact before it is rounded: a third is no float, and three make one again."""
    if all(parts == 1 for _, _, _, parts in observed):
        return _summed([value for _, _, value, _ in observed])
    return _rounded(sum((Fraction(value) / parts for _, _, value, parts in observed), Fraction()))


def _summed(values: Sequence[float]) -> float:
    """The sum of finite values, the nearest float to it, and the largest float where it is larger still.

    One sum that raised would stop the sequencer, and with it every policy's learning. `fsum` may also overflow on the
    way to a sum that is no large number at all, in one order of the values and not in another; fractions never do.
    """
    try:
        return math.fsum(values)
    except OverflowError:
        return _rounded(sum(map(Fraction, values), Fraction()))


def _rounded(value: Fraction) -> float:
    return float(min(max(value, -Fraction(_MOST)), Fraction(_MOST)))


def _finite(value: float) -> float:
    return min(max(value, -_MOST), _MOST)
