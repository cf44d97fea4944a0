"""The planner: how long a trial will take, and what it can see in the time there is."""

import math
from typing import Final

import msgspec
import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.bets import GRID
from cxi_bandit.evidence.contrast import Floats

OPTIMIST: Final = 2.0
PESSIMIST: Final = 3.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to expect: units and days from the optimist's and the pessimist's constant; days are whole weeks."""

    units: tuple[int, int]
    days: tuple[int, int]


def units_needed(
    effect: float, *, variance: float, alpha: float, scale: float = 1.0, constant: float = PESSIMIST
) -> int:
    """How many units a trial needs: n ≈ constant·ln(1/alpha)·Var(X)/Δ².

    The constant is 2 when the best λ is nearly known and 3 for the price of the grid. A bet stakes at most half its
    capital, so where noise is low n does not fall below ln(1/alpha)/ln(1 + Δ/2B).

    Args:
        effect: Δ - δ > 0, how far the truth is beyond what must be shown, on the reward scaled to [0, 1].
        variance: Var(X) a unit.
        alpha: alpha_j/k.
        scale: B, at the typical baseline.
        constant: 2 to 3.

    Raises:
        InvalidInput: A value outside its range.
    """
    _check(effect=effect, variance=variance, scale=scale)
    if not 0.0 < alpha < 1.0:
        raise InvalidInput("/alpha", f"must be in (0, 1); got {alpha}")
    evidence = -math.log(alpha)
    return math.ceil(max(constant * evidence * variance / effect**2, evidence / math.log1p(GRID[-1] * effect / scale)))


def plan(effect: float, *, variance: float, alpha: float, units_per_day: float, scale: float = 1.0) -> Plan:
    """How many units and whole weeks it takes to see `effect`. Units are new shoppers, not decisions."""
    _check(units_per_day=units_per_day)
    low, high = (
        units_needed(effect, variance=variance, alpha=alpha, scale=scale, constant=constant)
        for constant in (OPTIMIST, PESSIMIST)
    )
    return Plan(units=(low, high), days=(_whole_weeks(low / units_per_day), _whole_weeks(high / units_per_day)))


def visible_effect(days: float, *, variance: float, alpha: float, units_per_day: float) -> float:
    """Δ ≈ sqrt(3·ln(1/alpha)·Var(X)/n): the least effect worth waiting `days` for, on the pessimist's constant."""
    _check(days=days, variance=variance, units_per_day=units_per_day)
    if not 0.0 < alpha < 1.0:
        raise InvalidInput("/alpha", f"must be in (0, 1); got {alpha}")
    return math.sqrt(PESSIMIST * -math.log(alpha) * variance / (days * units_per_day))


def predicted_variance(
    *, logged: Floats, incumbent: Floats, candidate: Floats, weight_cap: float, rate: float
) -> float:
    """Var(X) before any reward is seen: E[(g - w_i)²]·rate(1 - rate), with c at the reward rate.

    The expectation over actions is exact, Σ_a (min(π_e, G·p) - π_i)²/p a row; rewards are taken as Bernoulli(rate)
    whatever the action, which is what the null says. All vectors (n, K); 0 ≤ rate ≤ 1.
    """
    if not 0.0 <= rate <= 1.0:
        raise InvalidInput("/rate", f"must be in [0, 1]; got {rate}")
    gap = np.minimum(candidate, weight_cap * logged) - incumbent
    squares = np.divide(gap**2, logged, out=np.zeros_like(gap), where=logged > 0.0)
    return float(squares.sum(axis=1).mean()) * rate * (1.0 - rate)


def _whole_weeks(days: float) -> int:
    return 7 * max(math.ceil(days / 7), 1)


def _check(**positive: float) -> None:
    for name, value in positive.items():
        if not (value > 0.0 and math.isfinite(value)):
            raise InvalidInput(f"/{name}", f"must be finite and above 0; got {value}")
