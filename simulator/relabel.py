"""The same decisions under another reward definition or horizon, settled again from the raw reward events."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.settings import read_text
from simulator.datasets.history import RewardHistory, evidence
from simulator.datasets.log import ReplayLog

_KIND = "manifest:"


def read_definition(spec: str) -> Manifest:
    """The manifest a `manifest:FILE.toml` names.

    Raises:
        InvalidInput: The SPEC has another form, or the file cannot be read.
        ManifestInvalid: A key is wrong.
    """
    if not spec.startswith(_KIND) or len(spec) == len(_KIND):
        raise InvalidInput("reward", f"{spec!r} is not manifest:FILE.toml")
    path = Path(spec.removeprefix(_KIND))
    return parse_manifest(read_text(path, "reward"), path.name)


def relabelled(log: ReplayLog, definition: Manifest) -> ReplayLog:
    """The log as if `definition`'s reward had been declared when it was gathered.

    Every decision is settled again by the engine's own `settle` from the ledger's entries up to the log's cut: metrics,
    weights, aggregates, default, costs, range and horizon are the definition's. Events that the logging manifest
    quarantined count where the definition allows them. Decisions whose new window had not ended when the log stood are
    left out. A manifest candidate learns from the new rewards too.

    Raises:
        InvalidInput: The log has no raw events, the definition does not price a drawn intervention, or no window of the
            definition's length has ended.
    """
    history = raw_events(log, "reward").under(definition)
    log = replace(
        log,
        history=history,
        reward_range=(definition.reward.min, definition.reward.max),
        manifest=msgspec.structs.replace(log.manifest, reward=definition.reward),
        notes=(*log.notes, f"rewards are settled again under policy {definition.name} ({_summary(definition)})"),
    )
    return at_horizon(log, 1.0)


def at_horizon(log: ReplayLog, horizons: float) -> ReplayLog:
    """The rows older than `horizons` attribution windows, settled with windows that long.

    Raises:
        InvalidInput: The log has no raw events, or no such row.
    """
    history = raw_events(log, "horizon")
    rows = np.flatnonzero(history.matured(horizons))
    if not len(rows):
        raise InvalidInput("reward", f"no decision of {log.name} is older than {horizons:g} attribution windows yet")
    notes = log.notes
    if young := len(log) - len(rows):
        notes = (*notes, f"{young} of {len(log)} decisions are left out: their attribution window had not ended")
    kept = log.take(rows)
    settlements = history.take(rows).settled(horizons)
    reward = np.array([settlement.reward for settlement in settlements])
    completed = np.array([settlement.completed for settlement in settlements])
    manifests = history.definition or history.manifests
    decisions = [history.decisions[int(row)] for row in rows]
    return replace(
        kept.rewarded(reward),
        completed=completed,
        evidence=evidence(zip(decisions, reward.tolist(), completed.tolist(), strict=True), manifests),
        notes=notes,
    )


def raw_events(log: ReplayLog, field: str) -> RewardHistory:
    """The log's reward events.

    Raises:
        InvalidInput: It has none: it was imported, or read without its ledger.
    """
    if log.history is None:
        raise InvalidInput(field, f"log {log.name} has rewards, but not the events they were settled from")
    return log.history


def _summary(definition: Manifest) -> str:
    reward = definition.reward
    terms = " + ".join(f"{metric.weight:g} x {metric.aggregate} of {name}" for name, metric in reward.metrics.items())
    return f"{terms}; horizon {reward.horizon_seconds:g} s"
