"""The live watch: has the policy that went live become worse than the one it replaced? Shiryaev-Roberts e-detectors.

A plain e-process spends its wealth while all is well, and must first win it back (59 % of falls found where the
detector found 99.5 %). The detector starts a new bet at every row and adds them all up. Reference: Shin, Ramdas,
Rinaldo, E-detectors (2022).
"""

from typing import Final

import msgspec
import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.bets import GRID, Position, baselines, stakes
from cxi_bandit.evidence.contrast import Bounds, Contrasts, Differences, Floats, check_bounds

_LAMBDAS: Final = np.array(GRID)
_HARDLY: Final = 1e-9


def swapped_differences(*, logged: Floats, incumbent: Floats, live: Floats, bounds: Bounds) -> Differences:
    """w_i - w_e on drawn actions: the gate's contrast with roles swapped, for evidence that the *old* policy is better.

    The live policy's weight w_e is never clipped: clipping it would shrink its value and raise alarms about nothing.
    The replaced policy must have the log's support for the same reason that the gate's incumbent must.

    Args:
        logged: p(a) of the drawn action, > 0, (n,).
        incumbent: Replaced policy's probability of the drawn action, (n,).
        live: Live policy's probability of the drawn action, (n,).
        bounds: `upper` ≥ sup(w_i - w_e), `lower` ≥ sup(w_e - w_i), from the floors.
    """
    if not np.all(logged > 0.0):
        raise InvalidInput("/logged", "the drawn intervention has probability 0")
    found = Differences(difference=(incumbent - live) / logged, shortfall=np.zeros_like(logged))
    check_bounds(found, bounds)
    return found


def watched(differences: Differences, reward: Floats) -> Contrasts:
    """The contrasts (w_i - w_e)(r - c) as the detector takes them, (n,)."""
    return Contrasts(gain=differences.difference * reward, tilt=differences.difference, reward=reward)


class Detector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two e-detectors, without and with the baseline, averaged: M ← (M + 1)(1 + λ(X - δ)/B) per λ.

    Under E[X_t | past] ≤ δ the mean run to a false alarm is at least `alarm_at` units, and P(alarm within n) ≤
    n/alarm_at.

    Attributes:
        alarm_at: c.
        delta: By how much the live policy may be worse without anyone being woken.
        position: Units watched.
        alarmed_after: Units watched when the alarm went off; None while it is quiet. A detector that went off stays
            off.
        raw: M per λ without a baseline, (24,).
        cv: M per λ with the baseline c_t = mean reward before t, (24,).
    """

    bounds: Bounds
    alarm_at: float = 1e5
    delta: float = 0.0
    position: Position = Position()
    alarmed_after: int | None = None
    raw: tuple[float, ...] = (0.0,) * len(GRID)
    cv: tuple[float, ...] = (0.0,) * len(GRID)

    def __post_init__(self) -> None:
        if not self.alarm_at > 1.0:
            raise InvalidInput("/alarm_at", f"must be above 1; got {self.alarm_at}")
        if not 0.0 <= self.delta < 1.0:
            raise InvalidInput("/delta", f"must be in [0, 1), a share of the reward's range; got {self.delta}")

    @property
    def level(self) -> float:
        """The average of M over λ and both kinds, which goes off at `alarm_at`."""
        return (sum(self.raw) + sum(self.cv)) / (2 * len(GRID))

    def watching(self, contrasts: Contrasts) -> "Detector":
        """This detector after more units, in decision order; it stops at the alarm.

        Feeding them in pieces gives the same bits as one sitting.

        Raises:
            BoundExceeded: A contrast outside the declared bounds.
        """
        if self.alarmed_after is not None:
            return self
        baseline, _ = baselines(self.position, contrasts.reward)
        stake = np.stack(
            [stakes(contrasts.gain, contrasts.tilt, c, self.bounds, self.delta) for c in (baseline * 0.0, baseline)],
            axis=1,
        )
        level = np.array([self.raw, self.cv])
        seen, alarmed = 0, False
        for pair in stake:
            level = (level + 1.0) * (1.0 + np.multiply.outer(pair, _LAMBDAS))
            seen += 1
            alarmed = float(level.mean()) >= self.alarm_at
            if alarmed:
                break
        _, position = baselines(self.position, contrasts.reward[:seen])
        return msgspec.structs.replace(
            self,
            position=position,
            alarmed_after=position.units if alarmed else None,
            raw=tuple(level[0].tolist()),
            cv=tuple(level[1].tolist()),
        )

    def afresh(self) -> "Detector":
        """This detector begun again after an alarm; what it knows of the mean reward stays."""
        nothing = (0.0,) * len(GRID)
        return msgspec.structs.replace(self, alarmed_after=None, raw=nothing, cv=nothing)


def above(bound: float, alarm_at: float) -> Detector:
    """A detector of "the mean of a value in [0, 1] is above `bound`": X = h, δ the bound, and no baseline.

    M ← (M + 1)(1 + λ(h - b)/b) per λ; feed it what `bounded` makes of the values.

    Args:
        bound: b in (0, 1).
    """
    if not 0.0 < bound < 1.0:
        raise InvalidInput("/bound", f"must be in (0, 1), a share of the harm's range; got {bound}")
    # X is never below 0, so that nearly all of B is left for the bound itself.
    return Detector(bounds=Bounds(upper=1.0, lower=_HARDLY), alarm_at=alarm_at, delta=bound)


def bounded(values: Floats) -> Contrasts:
    """Values in [0, 1] as they are bet on, (n,): their baseline stays 0."""
    nothing = np.zeros_like(values)
    return Contrasts(gain=values, tilt=nothing, reward=nothing)


def false_alarms_per_year(units_per_year: float, alarm_at: float) -> float:
    """The most false alarms a year to expect, units_per_year/c, for a detector that starts afresh after each.

    M grows by at most 1 a unit in the mean and gives up at least c at an alarm, so c·E[alarms] ≤ units.
    """
    return units_per_year / alarm_at
