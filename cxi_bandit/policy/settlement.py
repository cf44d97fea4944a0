"""What a decision earned: a pure function of its reward events, whatever the order they arrived in."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from cxi_bandit.domain.identifiers import InterventionId, RewardId, Source
from cxi_bandit.domain.outcome import Settlement
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.policy.manifest import Manifest, Metric

_Key = tuple[Source, RewardId]


def quarantine_reason(manifest: Manifest, metric: str, value: float | None) -> str | None:
    """Why a reward may not be counted under this manifest, or None when it may."""
    declared = manifest.reward.metrics.get(metric)
    if declared is None:
        return f"metric {metric!r} is not declared by policy {manifest.name}"
    if value is not None and not declared.min <= value <= declared.max:
        return f"value {value!r} of {metric!r} lies outside the declared [{declared.min:g}, {declared.max:g}]"
    return None


def settle(
    manifest: Manifest,
    intervention: InterventionId,
    window: tuple[datetime, datetime],
    entries: Sequence[LedgerEntry],
) -> Settlement:
    """The outcome of a decision from its ledger entries up to some cut.

    An amendment (correction or retraction) belongs to the reward it names, of the same source; of several the latest by
    `occurred_at`, then by id, stands. A reward counts when it occurred within the window, both ends included, is in its
    metric's range and is not quarantined. Sums are exact (`math.fsum`), so the order of `entries` cannot show.

    Args:
        window: When the decision was made and when its attribution window closes.
        entries: All of the decision's entries; those of other decisions must not be among them.
    """
    reward = manifest.reward
    standing = _standing(entry.event for entry in entries if entry.quarantined is None)
    values: dict[str, list[tuple[datetime, _Key, float]]] = {}
    for first, value in standing:
        if value is None or not window[0] <= first.occurred_at <= window[1]:
            continue
        if quarantine_reason(manifest, first.metric, value) is None:
            key = (first.source, first.reward_id)
            values.setdefault(first.metric, []).append((first.occurred_at, key, value))
    metrics = {name: _aggregate(metric, values[name]) for name, metric in reward.metrics.items() if name in values}
    gross = (
        math.fsum(reward.metrics[name].weight * value for name, value in metrics.items()) if metrics else reward.default
    )
    net = gross - manifest.intervention(intervention).cost
    return Settlement(
        reward=min(max(net, reward.min), reward.max),
        metrics=metrics,
        counted=sum(len(observed) for observed in values.values()),
        completed=bool(metrics),
    )


def _standing(events: Iterable[RewardEvent]) -> list[tuple[RewardEvent, float | None]]:
    """Every original reward with the value that stands for it after its amendments."""
    originals: list[RewardEvent] = []
    amended: dict[_Key, _Key] = {}
    amendments: list[RewardEvent] = []
    for event in events:
        target = event.corrects or event.retracts
        if target is None:
            originals.append(event)
        else:
            amendments.append(event)
            amended[event.source, event.reward_id] = (event.source, target)
    latest: dict[_Key, RewardEvent] = {}
    for event in amendments:
        root = _root((event.source, event.reward_id), amended)
        held = latest.get(root)
        if held is None or (held.occurred_at, held.reward_id) < (event.occurred_at, event.reward_id):
            latest[root] = event
    return [
        (event, latest[key].value if (key := (event.source, event.reward_id)) in latest else event.value)
        for event in originals
    ]


def _root(key: _Key, amended: dict[_Key, _Key]) -> _Key:
    """The reward at the end of a chain of amendments; a chain that bites its tail ends where it was entered."""
    seen = {key}
    while key in amended and amended[key] not in seen:
        key = amended[key]
        seen.add(key)
    return key


def _aggregate(metric: Metric, observed: list[tuple[datetime, _Key, float]]) -> float:
    match metric.aggregate:
        case "sum":
            return math.fsum(value for _, _, value in observed)
        case "max":
            return max(value for _, _, value in observed)
        case "last":
            return max(observed)[2]
