"""The names under which an imported log keeps what a file said, and a manifest laid over them."""

from collections.abc import Iterable, Mapping
from typing import Final

from cxi_bandit.domain.decision import HOLD, Features
from cxi_bandit.domain.imported import ImportedLog
from cxi_bandit.policy.manifest import (
    CategoryFeature,
    DefectType,
    FeatureType,
    FlagFeature,
    Intervention,
    Manifest,
    Metric,
    NumberFeature,
    Reward,
    Schema,
)

POSITION: Final = "position"
"""Context feature of the slot, counted from 1 and given as a category: slots are places, not amounts."""

AFFINITY: Final = "affinity"
"""Intervention feature: how often this user chose this action before. A row keeps `affinity_<index>` where not 0."""

DEFECT: Final = "imported"
"""The one defect of a manifest laid over an imported log, which knows none."""


def split_affinities(context: Mapping[str, bool | float | str]) -> tuple[Features, dict[int, float]]:
    """What describes the row, and its affinities by action index."""
    plain: Features = {}
    affinities: dict[int, float] = {}
    for name, value in context.items():
        head, _, index = name.rpartition("_")
        if head == AFFINITY and isinstance(value, float) and index.isdecimal():
            affinities[int(index)] = value
        else:
            plain[name] = value
    return plain, affinities


def laid_over(log: ImportedLog, contexts: Iterable[Features]) -> Manifest:
    """A manifest that reads every column of the log: how a reward model sees it when no policy's manifest is given."""
    columns: dict[str, list[bool | float | str]] = {}
    greatest = 0.0
    for context in contexts:
        plain, affinities = split_affinities(context)
        greatest = max(greatest, *affinities.values()) if affinities else greatest
        for name, value in plain.items():
            _widen(columns.setdefault(name, []), value)
    described: dict[str, list[bool | float | str]] = {}
    for features in log.action_features:
        for name, value in features.items():
            _widen(described.setdefault(name, []), value)
    actions = {name: _kind(seen) for name, seen in described.items()}
    if greatest > 0.0:
        actions[AFFINITY] = NumberFeature(min=0.0, max=greatest, scale="log")
    per_action = dict(zip(log.actions, log.action_features or ({},) * len(log.actions), strict=True))
    # Every manifest has `hold`, whether or not the log ever drew it.
    catalogue = {HOLD: per_action.get(HOLD, {}), **per_action}
    low, high = log.reward_min, log.reward_max
    return Manifest(
        format=1,
        name="imported-log",
        surface="imported",
        defects={DEFECT: DefectType()},
        context=Schema(features={POSITION: CategoryFeature(), **{name: _kind(seen) for name, seen in columns.items()}}),
        intervention_features=Schema(features=actions),
        interventions=tuple(Intervention(id=name, features=features) for name, features in catalogue.items()),
        reward=Reward(
            horizon_seconds=1.0, min=low, max=high, metrics={"reward": Metric(weight=1.0, min=low, max=high)}
        ),
    )


def _widen(seen: list[bool | float | str], value: bool | float | str) -> None:
    """Keeps one value, and of numbers the extremes: all that a feature's kind needs."""
    if not seen:
        seen.append(value)
    elif isinstance(value, float) and isinstance(seen[0], float):
        numbers = [number for number in (*seen, value) if isinstance(number, float)]
        seen[:] = [min(numbers), max(numbers)]


def _kind(seen: list[bool | float | str]) -> FeatureType:
    first = seen[0]
    if isinstance(first, bool):
        return FlagFeature()
    if isinstance(first, str):
        return CategoryFeature(max_length=256)
    low, high = float(first), float(seen[-1])
    return NumberFeature(min=low, max=high if high > low else low + 1.0)
