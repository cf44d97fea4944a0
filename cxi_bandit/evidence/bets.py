"""The bets: evidence against "the candidate is no better" as the wealth of a fixed grid of gamblers, kept in logs.

Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro (arXiv 2210.10768) is the reference for betting on off-policy
contrasts.
"""

import math
from typing import Final

import msgspec
import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.contrast import BoundExceeded, Bounds, Contrasts, Floats, Integers

GRID: Final = tuple(1e-4 * 5000.0 ** (k / 23) for k in range(24))
"""λ: 24 geometric points from 1e-4 to 0.5."""

_LAMBDAS: Final = np.array(GRID)
# Logs and rewards are added as whole multiples of 2^-36, so that sums are exact: any way of cutting the log gives the
# same bits (another build of log1p may still differ by a quantum). Logs are rounded down, which costs under 2e-5 nats a
# million bets and can only make E smaller.
_QUANTUM: Final = 2.0**-36
_BLOCK: Final = 8192  # rows at a time: 24 x 8192 doubles stay in the second-level cache
_SLACK: Final = 1e-9


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a log was read: bets placed, and the sum of their mean rewards in units of 2^-36."""

    units: int = 0
    reward_quanta: int = 0


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The e-process E = ½(E_raw + E_cv) as sufficient state: resumable, serialisable, mergeable in order.

    E_raw = mean over λ of Π_t (1 + λ (X_t(0) - δ)/B(0)); E_cv the same with baseline c_t = the mean reward before t.
    Under E[X_t | past] ≤ δ, P(E ever ≥ 1/alpha) ≤ alpha.

    Attributes:
        delta: δ; positive is superiority by δ, negative non-inferiority by -δ.
        start: Where in the log this piece of evidence begins.
        end: Where it ends.
        raw_log: Log wealth per λ without a baseline, units of 2^-36 nats, (24,).
        cv_log: Log wealth per λ with the baseline, likewise.
    """

    bounds: Bounds
    delta: float
    start: Position = Position()
    end: Position = Position()
    raw_log: tuple[int, ...] = (0,) * len(GRID)
    cv_log: tuple[int, ...] = (0,) * len(GRID)

    def __post_init__(self) -> None:
        if not -1.0 < self.delta < 1.0:
            raise InvalidInput("/delta", f"must be in (-1, 1), a share of the reward's range; got {self.delta}")
        if not len(self.raw_log) == len(self.cv_log) == len(GRID):
            raise InvalidInput("/raw_log", f"needs {len(GRID)} entries, one a λ, and so does cv_log")

    @property
    def log_e_raw(self) -> float:
        """The logarithm of E_raw."""
        return _log_mean_exp(self.raw_log)

    @property
    def log_e_cv(self) -> float:
        """The logarithm of E_cv."""
        return _log_mean_exp(self.cv_log)

    @property
    def log_e(self) -> float:
        """The logarithm of ½(E_raw + E_cv): an average of e-processes is one, their maximum is not."""
        high, low = max(self.log_e_raw, self.log_e_cv), min(self.log_e_raw, self.log_e_cv)
        return high + math.log1p(math.exp(low - high)) - math.log(2.0)

    def extended(self, contrasts: Contrasts) -> "Evidence":
        """This evidence after betting on `contrasts` too, in their order. Feeding them in pieces gives the same bits.

        Raises:
            InvalidInput: The arrays differ in length, or a mean reward is outside [0, 1].
            BoundExceeded: An X(c) outside what the bounds allow.
        """
        _check(contrasts)
        evidence = self
        for first in range(0, len(contrasts.gain), _BLOCK):
            evidence = evidence._bet(contrasts, slice(first, first + _BLOCK))
        return evidence

    def continuation(self) -> "Evidence":
        """An empty piece of evidence that begins where this one ends, to be merged behind it."""
        return Evidence(bounds=self.bounds, delta=self.delta, start=self.end, end=self.end)

    def merged(self, later: "Evidence") -> "Evidence":
        """This evidence with a later piece behind it; the same bits as one sitting.

        Raises:
            InvalidInput: `later` does not begin where this ends, or was gathered under another rule.
        """
        if (later.bounds, later.delta) != (self.bounds, self.delta):
            raise InvalidInput("/bounds", "evidence gathered under another declaration cannot be merged")
        if later.start != self.end:
            raise InvalidInput("/start", f"must be {self.end}, where the earlier evidence ends; got {later.start}")
        return msgspec.structs.replace(
            self,
            end=later.end,
            raw_log=tuple(a + b for a, b in zip(self.raw_log, later.raw_log, strict=True)),
            cv_log=tuple(a + b for a, b in zip(self.cv_log, later.cv_log, strict=True)),
        )

    def _bet(self, contrasts: Contrasts, rows: slice) -> "Evidence":
        gain, tilt = contrasts.gain[rows], contrasts.tilt[rows]
        baseline, end = baselines(self.end, contrasts.reward[rows])
        zero = np.zeros_like(gain)
        return msgspec.structs.replace(
            self,
            end=end,
            raw_log=_added(self.raw_log, stakes(gain, tilt, zero, self.bounds, self.delta)),
            cv_log=_added(self.cv_log, stakes(gain, tilt, baseline, self.bounds, self.delta)),
        )


def baselines(position: Position, reward: Floats) -> tuple[Floats, Position]:
    """c_t = mean reward of all units before t, (m,), 0 before the first; and the position behind the last."""
    quanta: Integers = np.rint(reward / _QUANTUM).astype(np.int64)
    before = position.reward_quanta + np.concatenate(([0], np.cumsum(quanta)))
    count = position.units + np.arange(len(reward))
    baseline = np.minimum(before[:-1] * _QUANTUM / np.maximum(count, 1), 1.0)
    return baseline, Position(position.units + len(reward), int(before[-1]))


def stakes(gain: Floats, tilt: Floats, baseline: Floats, bounds: Bounds, delta: float) -> Floats:
    """(X(c) - δ)/B(c), at least -1, (m,).

    Raises:
        BoundExceeded: X(c) below -(B(c) - max(δ, 0)), or above max((1-c)U, cL).
    """
    contrast = gain - baseline * tilt
    reach = bounds.scale(baseline, 0.0)
    above = np.maximum((1.0 - baseline) * bounds.upper, baseline * bounds.lower)
    inside = (contrast >= -reach * (1.0 + _SLACK)) & (contrast <= above * (1.0 + _SLACK))
    if not np.all(inside):
        row = int(np.argmin(inside))
        raise BoundExceeded(
            f"/contrasts/{row}", f"X = {contrast[row]:.6g} is outside [-{reach[row]:.6g}, {above[row]:.6g}]"
        )
    return np.maximum((contrast - delta) / bounds.scale(baseline, delta), -1.0)


def _added(logs: tuple[int, ...], stake: Floats) -> tuple[int, ...]:
    gained = np.floor(np.log1p(np.multiply.outer(stake, _LAMBDAS)) / _QUANTUM).astype(np.int64).sum(axis=0)
    return tuple(log + int(gain) for log, gain in zip(logs, gained, strict=True))


def _log_mean_exp(logs: tuple[int, ...]) -> float:
    highest = max(logs)
    # The difference of two whole numbers first: it is exact however large both have grown.
    return highest * _QUANTUM + math.log(math.fsum(math.exp((log - highest) * _QUANTUM) for log in logs) / len(logs))


def _check(contrasts: Contrasts) -> None:
    if not contrasts.gain.shape == contrasts.tilt.shape == contrasts.reward.shape == (len(contrasts.gain),):
        raise InvalidInput("/contrasts", "gain, tilt and reward must be vectors of one length")
    if not np.all((contrasts.reward >= 0.0) & (contrasts.reward <= 1.0)):
        raise InvalidInput("/contrasts/reward", "mean rewards must be in [0, 1]; scale them by the declared range")
