"""From a closed log to bets: candidate and incumbent on the same rows, with what was declared about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.gate import GateRule, Reason
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.engine.decide import ServedPolicy, imitation
from cxi_bandit.engine.incumbent import Incumbent
from cxi_bandit.evidence.contrast import (
    Bounds,
    bounds_from_floor,
    bounds_where_incumbent_logs,
    scaled,
    weight_differences,
)
from simulator.candidates import Prepared
from simulator.candidates.scoring import score
from simulator.datasets.closed_log import ClosedLog, live
from simulator.datasets.log import ReplayLog
from simulator.gate.schedule import microseconds
from simulator.gate.unit import Rows
from simulator.progress import Track
from simulator.rounds import Bools, Float64s

TICK = timedelta(milliseconds=1)
"""The precision of a decision's time."""
_RESCORING_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class Vectors:
    """What candidate, incumbent and log say about the same n rows, all (n, K) over one catalogue."""

    log: ReplayLog
    logged: Float64s
    incumbent: Float64s
    candidate: Float64s
    own: Bools  # rows that this very incumbent logged, (n,)

    @property
    def gap(self) -> float:
        """Largest difference between the incumbent asked again and what it logged; 0 where it logged nothing."""
        return float(np.abs(self.incumbent - self.logged)[self.own].max(initial=0.0))


def learned_until(rows: Sequence[TrainingRow], models: Sequence[Model | None]) -> datetime | None:
    """The last of `rows` that any of the models has learned; rows of other policies' logs are none of theirs."""
    moments = [
        row.decision.decided_at
        for model in models
        if model is not None
        for row in rows
        if row.decision.policy == model.lineage.policy and row.position <= model.lineage.up_to
    ]
    return max(moments, default=None)


def earliest_opening(log: ReplayLog, rows: Sequence[TrainingRow], models: Sequence[Model | None]) -> datetime:
    """The first moment from which neither policy has seen a row: a model's own lessons must not be its test.

    Args:
        rows: What the models may have learned: more than the log where that is about some defect types alone.
    """
    learned = learned_until(rows, models)
    first = live(log).rows[0].decision.decided_at
    return first if learned is None else max(first, learned + TICK)


def since(log: ReplayLog, moment: datetime) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The rows decided at or after a moment."""
    return np.array([n for n, row in enumerate(live(log).rows) if row.decision.decided_at >= moment], dtype=np.intp)


def vectors(prepared: Prepared, incumbent: Incumbent, served: ServedPolicy, track: Track) -> Vectors:
    """Asks the incumbent about every row the candidate was asked about.

    Args:
        served: The incumbent as it is served; its model is the incumbent's.
    """
    again = score(prepared.log, served, track)
    log = again.log
    added = log.rounds.n_actions - prepared.log.rounds.n_actions
    version, model = incumbent.version.version, None if incumbent.model is None else incumbent.model.lineage.version
    decisions = [row.decision for row in live(log).rows]
    own = [decision.policy_version == version and decision.model_version == model for decision in decisions]
    logged = log.rounds.probabilities
    asked = again.probabilities.astype(np.float64)
    return Vectors(
        log=log,
        logged=np.zeros((len(log), log.rounds.n_actions)) if logged is None else logged.astype(np.float64),
        incumbent=_imitating(asked, log, served, decisions) if incumbent.apprentice else asked,
        candidate=np.pad(prepared.probabilities, ((0, 0), (0, added))).astype(np.float64),
        own=np.array(own, dtype=np.bool_),
    )


def _imitating(asked: Float64s, log: ReplayLog, served: ServedPolicy, decisions: Sequence[Decision]) -> Float64s:
    """An apprentice's vectors, by the baseline that each row names; where none is known the cold start stands in."""
    columns = {name: column for column, name in enumerate(log.rounds.actions)}
    found = asked.copy()
    for row, decision in enumerate(decisions):
        baseline = _baseline(decision)
        if baseline is not None:
            situation = log.contexts.situation(row, served.manifest)
            found[row] = 0.0
            places = [columns[name] for name in situation.eligible]
            found[row, places] = imitation(served, situation, baseline).probabilities
    return found


def _baseline(decision: Decision) -> InterventionId | None:
    return None if decision.assignment is None else decision.assignment.baseline


def declared(rule: GateRule, found: Vectors) -> Bounds:
    """U, L and the shortfall from who logs and from the manifests' floors, never from the log's own weights."""
    if bool(found.own.all()) or found.log.smallest_propensity is None:
        return bounds_where_incumbent_logs(rule.weight_cap)
    return bounds_from_floor(rule.weight_cap, found.log.smallest_propensity)


def objections(closed: ClosedLog, found: Vectors, incumbent: Incumbent, opened_at: datetime) -> list[Reason]:
    """Why this log cannot be bet on, whatever the evidence says."""
    reasons = []
    if found.gap > _RESCORING_TOLERANCE:
        message = f"{incumbent.name}, asked again, differs by {found.gap:.3g} from what it logged"
        reasons.append(Reason("incumbent_rescored", message))
    contexts = live(found.log)
    if incumbent.apprentice and (unknown := sum(_baseline(row.decision) is None for row in contexts.rows)):
        message = (
            f"of {unknown} decisions it is not known what {incumbent.name} would have imitated; open the trial after "
            "the last of them"
        )
        reasons.append(Reason("baseline_unknown", message))
    foreign = sum(contexts.manifest_of(row).reward != incumbent.manifest.reward for row in range(len(found.log)))
    if foreign:
        message = f"{foreign} decisions were settled under another [reward]; open the trial after the last of them"
        reasons.append(Reason("reward_changed", message))
    if unseen := closed.unactivated(opened_at):
        message = (
            f"{unseen} decisions were never shown and are left out of the log; being shown may depend on what was "
            'drawn. Count decisions when answered (counts_when = "answered")'
        )
        reasons.append(Reason("activation_filter", message))
    return reasons


def rows_of(
    closed: ClosedLog, found: Vectors, incumbent: Incumbent, rule: GateRule, bounds: Bounds
) -> tuple[Rows, int]:
    """Bets in decision order with values as known at close, and how many values had to be clipped into their range.

    A harm that nobody reported counts as 0.

    Raises:
        IncumbentUnsupported: The log never draws something that the incumbent does.
        BoundExceeded: A weight outside what was declared.
    """
    differences = weight_differences(
        logged=found.logged,
        incumbent=found.incumbent,
        candidate=found.candidate,
        action=found.log.rounds.action.astype(np.int64),
        weight_cap=rule.weight_cap,
        bounds=bounds,
    )
    declared_reward = incumbent.manifest.reward
    reward, clipped = scaled(found.log.rounds.reward, declared_reward.min, declared_reward.max)
    decisions = [row.decision for row in live(found.log).rows]
    harms = {}
    for guardrail in rule.guardrails:
        nothing = min(max(0.0, guardrail.low), guardrail.high)
        reported = [
            closed.closes[decision.decision_id].settlement.metrics.get(guardrail.metric, nothing)
            for decision in decisions
        ]
        harms[guardrail.metric], beyond = scaled(np.array(reported, dtype=np.float64), guardrail.low, guardrail.high)
        clipped += beyond
    rows = Rows(
        decided_at=np.array([microseconds(decision.decided_at) for decision in decisions], dtype=np.int64),
        subject=[decision.subject for decision in decisions],
        differences=differences,
        reward=reward,
        harms=harms,
    )
    return rows, clipped
