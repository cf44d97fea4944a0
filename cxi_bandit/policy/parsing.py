"""Manifest text to manifest value: every error names file, key and reason."""

import copy
import functools
import math
import operator
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from cxi_bandit.domain.decision import HOLD, FeatureValue
from cxi_bandit.domain.errors import InvalidInput, ManifestInvalid
from cxi_bandit.policy.gate import gate_rule
from cxi_bandit.policy.harms import harm
from cxi_bandit.policy.limits import unlimitable
from cxi_bandit.policy.manifest import (
    Attribution,
    CategoryFeature,
    Comparison,
    Condition,
    FeatureType,
    FlagFeature,
    Intervention,
    Manifest,
    NumberFeature,
)
from cxi_bandit.policy.manifest_lines import line_of
from cxi_bandit.policy.release_rules import LEAST_ROTATION_DAYS

_AT_PATH = re.compile(r"^(?P<reason>.*?)(?: - at (?:`key` in )?`\$?\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_ENTRY = "[...]"
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


def parse_manifest(text: str, file: str) -> Manifest:
    """Reads and checks one manifest.

    Args:
        text: TOML.
        file: Named in errors.

    Raises:
        ManifestInvalid: It is not TOML, a key is unknown, missing or mistyped, or two keys contradict each other.
    """
    try:
        raw = tomllib.loads(text)
    except ValueError as error:
        # Its own error is one; so is that of a number with more digits than Python reads.
        raise ManifestInvalid(file, "(toml)", str(error)) from error
    except RecursionError as error:
        raise ManifestInvalid(file, "(toml)", "is nested too deeply") from error
    try:
        manifest = msgspec.convert(raw, Manifest, strict=True)
    except msgspec.ValidationError as error:
        match = _AT_PATH.match(str(error))
        path, reason = (match["path"], match["reason"]) if match else (None, str(error))
        key = _named(raw, path or "", str(error)) or "(top level)"
        raise ManifestInvalid(file, key, reason, line_of(text, key, reason)) from error
    for key, reason in _contradictions(manifest):
        raise ManifestInvalid(file, key, reason, line_of(text, key, reason))
    return manifest


def _named(raw: dict[str, Any], path: str, message: str) -> str:
    """`path` with the table entry that msgspec leaves as `[...]` named: the first that alone gives the same message."""
    if _ENTRY not in path:
        return path
    above, _, below = path.partition(_ENTRY)
    *parents, last = [int(index) if index else name for name, index in _STEP.findall(above)]
    for key in _within(raw, [*parents, last]):
        alone = copy.deepcopy(raw)
        holder = _within(alone, parents)
        holder[last] = {key: holder[last][key]}
        try:
            msgspec.convert(alone, Manifest, strict=True)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return f"{above}.{key}{below}"
    return path


def _within(table: Any, steps: Sequence[str | int]) -> Any:  # noqa: ANN401 - TOML nests anything
    return functools.reduce(operator.getitem, steps, table)


def _contradictions(manifest: Manifest) -> Iterator[tuple[str, str]]:
    # Features first: the catalogue's rules are about them, and a rule on a wrong feature would be blamed for it.
    yield from _features(manifest)
    yield from _catalogue(manifest)
    yield from _reward(manifest)
    yield from _exploration(manifest)
    yield from _gate(manifest)
    yield from _rollout(manifest)
    yield from unlimitable(manifest)


def _catalogue(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if not manifest.defects:
        yield "defects", "declare at least one defect type"
    seen: set[str] = set()
    for index, entry in enumerate(manifest.interventions):
        key = f"interventions[{index}]"
        if entry.id in seen:
            yield f"{key}.id", f"{entry.id!r} is declared twice"
        seen.add(entry.id)
        for defect in entry.defects:
            if defect not in manifest.defects:
                yield f"{key}.defects", f"{defect!r} is not among [defects]"
        if not math.isfinite(entry.cost):
            yield f"{key}.cost", "must be finite"
        for number, condition in enumerate(entry.when):
            yield from _condition(manifest, condition, f"{key}.when[{number}]")
        yield from _described(manifest, entry, key)
    if HOLD not in seen:
        yield "interventions", "an intervention with id 'hold' (do nothing) must be among them"
    elif len(seen) == 1:
        yield "interventions", "declare at least one intervention beside 'hold'"
    elif manifest.hold.defects or manifest.hold.when:
        yield "interventions", "'hold' must be eligible always: give it neither `defects` nor `when`"
    elif manifest.hold.cost:
        yield "interventions", "'hold' does nothing and cannot cost: leave `cost` out"


def _described(manifest: Manifest, entry: Intervention, key: str) -> Iterator[tuple[str, str]]:
    declared = manifest.intervention_features.features
    for name, value in entry.features.items():
        if name not in declared:
            yield f"{key}.features.{name}", "is not declared in [intervention_features.features]"
        elif reason := mismatch(declared[name], value):
            yield f"{key}.features.{name}", reason
    for name, kind in declared.items():
        if kind.required and name not in entry.features:
            yield f"{key}.features", f"the required feature {name!r} is missing"


def _condition(manifest: Manifest, condition: Condition, key: str) -> Iterator[tuple[str, str]]:
    scope, _, name = condition.field.partition(".")
    if scope == "defect" and name in ("severity", "confidence"):
        kind: FeatureType = NumberFeature(min=0.0, max=1.0)
    elif scope == "context" and name in manifest.context.features:
        kind = manifest.context.features[name]
    else:
        yield f"{key}.field", "must be defect.severity, defect.confidence or context.<declared feature>"
        return
    ordered = condition.comparison in (Comparison.AT_LEAST, Comparison.AT_MOST)
    if ordered and not isinstance(kind, NumberFeature):
        yield f"{key}.comparison", f"{condition.comparison} needs a number feature"
    elif (condition.comparison is Comparison.ONE_OF) != isinstance(condition.value, tuple):
        yield f"{key}.value", "a list of strings goes with `one_of`, a single value with every other comparison"
    else:
        values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        for value in values:
            if reason := mismatch(kind, value):
                yield f"{key}.value", reason


def _features(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for table, schema in (("context", manifest.context), ("intervention_features", manifest.intervention_features)):
        for name, kind in schema.features.items():
            key = f"{table}.features.{name}"
            if isinstance(kind, NumberFeature):
                if reason := _no_range(kind.min, kind.max):
                    yield f"{key}.min", reason
            elif isinstance(kind, CategoryFeature) and len(set(kind.values)) != len(kind.values):
                yield f"{key}.values", "has a value twice"


def _reward(manifest: Manifest) -> Iterator[tuple[str, str]]:
    reward = manifest.reward
    if reason := _no_range(reward.min, reward.max):
        yield "reward.min", reason
        return
    if not reward.min <= reward.default <= reward.max:
        yield "reward.default", f"must lie within [{reward.min:g}, {reward.max:g}]"
    if not reward.metrics:
        yield "reward.metrics", "declare at least one metric"
    for name, metric in reward.metrics.items():
        key = f"reward.metrics.{name}"
        if not math.isfinite(metric.weight):
            yield f"{key}.weight", "must be finite"
        if not (math.isfinite(metric.min) and math.isfinite(metric.max) and metric.min < metric.max):
            yield f"{key}.min", "min and max must be finite, min below max"
    if reward.discards_unseen and reward.counts_when == "answered":
        yield "reward.discards_unseen", 'goes with counts_when = "activated": otherwise nothing is discarded'
    if reward.attribution is not None:
        yield from _attribution(manifest, reward.attribution)


def _attribution(manifest: Manifest, attribution: Attribution) -> Iterator[tuple[str, str]]:
    horizon, window = manifest.reward.horizon_seconds, attribution.window_seconds
    if window is not None and window > horizon:
        reason = (
            f"is longer than horizon_seconds, {horizon:g}, beyond which no event counts; shorten it or leave it out"
        )
        yield "reward.attribution.window_seconds", reason
    for name in attribution.metrics:
        if name not in manifest.reward.metrics:
            yield "reward.attribution.metrics", f"{name!r} is not among [reward.metrics]"
    if len(set(attribution.metrics)) != len(attribution.metrics):
        yield "reward.attribution.metrics", "has a metric twice"


def _no_range(low: float, high: float) -> str | None:
    """Why nothing can be scaled from [low, high] to [0, 1], as features and rewards are for the model."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return "min and max must be finite, min below max"
    return None if math.isfinite(high - low) else "min and max are further apart than a 64-bit float can tell"


def _exploration(manifest: Manifest) -> Iterator[tuple[str, str]]:
    exploration = manifest.exploration
    others = len(manifest.interventions) - 1
    total = exploration.hold_floor + others * exploration.floor
    if total >= 1.0:
        yield "exploration.floor", f"the floors add up to {total:g} over {others + 1} interventions; keep them below 1"
    if exploration.cold_start.hold < exploration.hold_floor:
        yield "exploration.cold_start.hold", "must be at least hold_floor"
    if others and (1 - exploration.cold_start.hold) / others < exploration.floor:
        yield "exploration.cold_start.hold", "leaves the other interventions less than their floor"


def _gate(manifest: Manifest) -> Iterator[tuple[str, str]]:
    guarded: set[str] = set()
    for index, guardrail in enumerate(manifest.gate.guardrails):
        key = f"gate.guardrails[{index}]"
        metric = manifest.reward.metrics.get(guardrail.metric)
        if metric is None:
            yield f"{key}.metric", f"{guardrail.metric!r} is not among [reward.metrics]; nobody could report it"
            continue
        if guardrail.metric in guarded:
            yield f"{key}.metric", f"{guardrail.metric!r} is guarded twice"
        guarded.add(guardrail.metric)
        low = metric.min if guardrail.min is None else guardrail.min
        high = metric.max if guardrail.max is None else guardrail.max
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            yield f"{key}.min", f"min and max must be finite, min below max; got {low:g} and {high:g}"
    try:
        gate_rule(manifest)
    except InvalidInput as error:
        yield f"gate{error.pointer.replace('/', '.')}", error.detail


def _rollout(manifest: Manifest) -> Iterator[tuple[str, str]]:
    days = manifest.rollout.hold_rotation_days
    if 0.0 < days < LEAST_ROTATION_DAYS:
        yield "rollout.hold_rotation_days", f"must be 0 for never, or at least an hour, 1/24 of a day; got {days:g}"
    guarded: set[str] = set()
    for index, guardrail in enumerate(manifest.rollout.guardrails):
        key = f"rollout.guardrails[{index}]"
        about = harm(manifest, guardrail)
        if about is None:
            reason = "is neither `cost` nor among [reward.metrics]; to guard latency, have it reported as a metric"
            yield f"{key}.metric", f"{guardrail.metric!r} {reason}"
            continue
        if guardrail.metric in guarded:
            yield f"{key}.metric", f"{guardrail.metric!r} is guarded twice"
        guarded.add(guardrail.metric)
        if unranged := _no_range(about.low, about.high):
            yield f"{key}.min", f"{unranged}; got {about.low:g} and {about.high:g}"
        elif not about.low < about.bound < about.high:
            yield f"{key}.bound", f"must lie between {about.low:g} and {about.high:g}; got {about.bound:g}"


def mismatch(kind: FeatureType, value: FeatureValue) -> str | None:
    """Why `value` is not of the declared kind, or None when it is. A bool is no number; inf and NaN are in no range."""
    match kind:
        case NumberFeature():
            if isinstance(value, bool) or not isinstance(value, int | float):
                return f"must be a number, got {type(value).__name__}"
            return None if kind.min <= value <= kind.max else f"must be {kind.min:g} to {kind.max:g}, got {value!r}"
        case CategoryFeature():
            return _category_mismatch(kind, value)
        case FlagFeature():
            return None if isinstance(value, bool) else f"must be true or false, got {type(value).__name__}"


def _category_mismatch(kind: CategoryFeature, value: FeatureValue) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, got {type(value).__name__}"
    if kind.values:
        return None if value in kind.values else f"must be one of {', '.join(kind.values)}"
    return None if len(value) <= kind.max_length else f"must be at most {kind.max_length} characters, got {len(value)}"
