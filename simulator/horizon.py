"""Horizon sensitivity: does the attribution window end before the effect does?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.candidates import Prepared
from simulator.datasets.log import ReplayLog
from simulator.estimators import ESTIMATORS
from simulator.evaluate import EvaluationSettings
from simulator.paired import Difference, change, effects, mean_of, scored
from simulator.relabel import at_horizon
from simulator.reward_model import RewardModel

DOUBLE = 2.0
COMPARED = ("dr", "snips", "ips", "dm")
EFFECT = "dr - logged"

ModelFor = Callable[[ReplayLog], RewardModel]
"""Makes an unfitted reward model for a log."""


@dataclass(frozen=True, kw_only=True)
class HorizonShift:
    """One estimate under both windows.

    Args:
        at_horizon: Under the declared window H, reward units.
        at_double: Under 2H, on the same rows.
        interval: For `difference`, by shopper where the log names shoppers; None where there is none.
    """

    name: str
    at_horizon: float
    at_double: float
    difference: float
    interval: tuple[float, float] | None

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval is not None and not self.interval[0] <= 0.0 <= self.interval[1]


@dataclass(frozen=True, kw_only=True)
class HorizonSensitivity:
    """The same candidate on the same rows under H and under 2H.

    Args:
        rows: Decisions older than 2H, the only ones that can be compared.
        left_out: Evaluated decisions that are younger.
        horizon_seconds: Shortest and longest H among the rows.
        shifts: The estimates, then the effect over the log, which is what a launch is decided on.
    """

    rows: int
    left_out: int
    horizon_seconds: tuple[float, float]
    confidence: float
    shifts: tuple[HorizonShift, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for every estimate that changes beyond chance."""
        return tuple(
            f"{shift.name} moves by {shift.difference:+.4g} when the horizon is doubled, beyond chance at "
            f"{self.confidence:.0%}: rewards arrive after the window; lengthen horizon_seconds, or say what it cuts off"
            for shift in self.shifts
            if shift.differs
        )


def horizon_sensitivity(prepared: Prepared, model: ModelFor, settings: EvaluationSettings) -> HorizonSensitivity:
    """The candidate's estimates under H and 2H from the ledger's events, and the paired difference.

    Only decisions older than 2H count: of younger ones the second window is still open. The candidate is the same under
    both: trained, where it was, on rewards under H.

    Args:
        model: Makes the reward model for a log.

    Raises:
        InvalidInput: The log has no raw events, or no decision is older than 2H.
    """
    log = prepared.log
    if log.history is None:
        raise InvalidInput("horizon_sensitivity", f"log {log.name} has rewards, but not the events behind them")
    old = np.flatnonzero(log.history.matured(DOUBLE))
    if not len(old):
        raise InvalidInput("horizon_sensitivity", f"no evaluated decision of {log.name} is older than two horizons")
    candidate, comparable = prepared.probabilities[old], replace(log.take(old), notes=())
    single, double = at_horizon(comparable, 1.0), at_horizon(comparable, DOUBLE)
    before = scored(single.rounds, candidate, model(single), settings)
    after = scored(double.rounds, candidate, model(double), settings)
    shifts = []
    for name in COMPARED:
        kind = ESTIMATORS[name]
        first, second = kind(), kind()
        first.update(before)
        second.update(after)
        moved = change(kind, before, after)
        shifts.append(_shift(name, (first.result().value, second.result().value), moved, settings.confidence))
    one, two = effects(before), effects(after)
    moved = mean_of(two - one, before.subject)
    shifts.append(_shift(EFFECT, (float(one.mean()), float(two.mean())), moved, settings.confidence))
    history = log.history.take(old)
    seconds = [history.horizon(decision).total_seconds() for decision in history.decisions]
    return HorizonSensitivity(
        rows=len(old),
        left_out=len(log) - len(old),
        horizon_seconds=(min(seconds), max(seconds)),
        confidence=settings.confidence,
        shifts=tuple(shift for shift in shifts if isfinite(shift.difference)),
    )


def _shift(name: str, values: tuple[float, float], moved: Difference, confidence: float) -> HorizonShift:
    return HorizonShift(
        name=name,
        at_horizon=values[0],
        at_double=values[1],
        difference=moved.value,
        interval=moved.interval(confidence),
    )
