"""The fields of a DSJSON line that are read, and the features in its nested objects."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cxi_bandit.domain.decision import Features
from simulator.exchange.foreign import BadRow, feature_name, number


class Event(msgspec.Struct, frozen=True):
    """One line. Everything else in it is ignored, as VW ignores it."""

    c: dict[str, Any]
    label_cost: float | None = msgspec.field(name="_label_cost", default=None)
    label_probability: float | None = msgspec.field(name="_label_probability", default=None)
    label_action: int | None = msgspec.field(name="_label_Action", default=None)
    label_index: int | None = msgspec.field(name="_labelIndex", default=None)
    skip_learn: bool = msgspec.field(name="_skipLearn", default=False)
    timestamp: str | None = msgspec.field(name="Timestamp", default=None)
    a: list[int] | None = None
    p: list[float] | None = None
    pdrop: float = 0.0


def action_names(event: Event) -> list[str]:
    """Names of the line's actions: `_tag`, else a text feature `id`, else `action_` and its place, counted from 1."""
    names = []
    for place, entry in enumerate(event.c["_multi"], start=1):
        if not isinstance(entry, dict):
            raise BadRow(f"c._multi holds {entry!r}, which is no action")
        name = entry.get("_tag") or features_of(entry, keep_id=True).get("id")
        names.append(name if isinstance(name, str) else f"action_{place}")
    if len(set(names)) != len(names):
        raise BadRow("c._multi names an action twice")
    return names


def features_of(entry: Mapping[str, Any], *, keep_id: bool = False) -> Features:
    """Features of an action: one namespace's under their own names; `id` is its name, not a feature."""
    found = _flat(entry)
    return {name: value for name, value in found.items() if keep_id or name != "id"}


def context_features(shared: Mapping[str, Any]) -> Features:
    """Features of the line's context."""
    return _flat(shared)


def _flat(entry: Mapping[str, Any]) -> Features:
    """Names below the top are prefixed with the namespace where there are several, so that none hides another."""
    namespaces = [key for key, value in entry.items() if not key.startswith("_") and isinstance(value, dict)]
    features: Features = {}
    for key, value in entry.items():
        if key.startswith("_"):
            continue
        prefix = f"{key}_" if len(namespaces) > 1 else ""
        inner = value.items() if isinstance(value, dict) else [(key, value)]
        for name, found in inner:
            _add(features, feature_name(f"{prefix}{name}" if isinstance(value, dict) else name), found)
    return features


def _add(features: Features, name: str, value: object) -> None:
    if isinstance(value, dict):
        for inner, found in value.items():
            _add(features, f"{name}_{feature_name(str(inner))}", found)
        return
    if isinstance(value, list):
        for place, found in enumerate(value):
            _add(features, f"{name}_{place}", found)
        return
    if value is None:
        return
    if name in features:
        raise BadRow(f"two features are named {name!r} once names are lower case with '_'")
    if isinstance(value, bool | str):
        features[name] = value
    elif isinstance(value, int | float):
        features[name] = number(f"feature {name!r}", value)
    else:
        raise BadRow(f"feature {name!r} is {value!r}")
