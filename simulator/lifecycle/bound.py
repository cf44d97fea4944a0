"""The bound: within how many decisions a candidate that has become harmful is to be taken back."""

import math
from datetime import timedelta
from typing import Final

import numpy as np

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.evidence.canary import canary_bounds
from simulator.gate.planner import units_needed
from simulator.lifecycle.course import harm
from simulator.lifecycle.shop import Shop

_BATCH: Final = 5000
_PRICE: Final = 8.0


def stated(shop: Shop, since: int, arm: Arm, beside: Arm, share: float) -> int:
    """Decisions within which 95 of 100 such candidates are taken back, those included that come before any is heard.

    ln E of a bet at the best stake is a walk of drift Δ²/2V and variance Δ²/V a shopper, V = Var(X). It comes to the
    level b after 2bV/Δ² shoppers on average, with standard deviation sqrt(8b)·V/Δ²; two of these are added. The level
    is ln c, and ln 8 for averaging two baselines and for a stake that is not the best; c is 1/alpha of the canary, or
    the detector's `alarm_at`. Where noise is low a bet of half the capital sets the pace, as in the planner.

    Args:
        share: Rho of the smaller arm among its own shoppers and the live arm's.
    """
    reward = shop.manifest.reward
    cost = harm(shop, since, arm, beside)
    effect = cost.lost / cost.answered / (reward.max - reward.min)
    scaled = _scaled_rewards(shop, since)
    spread, centre = float(scaled.var()), float(scaled.mean())
    if arm is Arm.CANARY:
        alpha, variance = shop.alpha_of_canary, spread / (share * (1.0 - share))
    else:
        alpha, variance = 1.0 / shop.manifest.rollout.alarm_at, spread * _squared_weights(shop, since, share)
    sides = canary_bounds(share)
    scale = max(centre * sides.upper, (1.0 - centre) * sides.lower)
    level = math.log(_PRICE / alpha)
    slowly = (2.0 * level + 2.0 * math.sqrt(8.0 * level)) * variance / effect**2
    units = max(slowly, units_needed(effect, variance=variance, alpha=alpha / _PRICE, scale=scale))
    met = [one.decision.subject for one in shop.met[since:]]
    # Windows of their own and of the reward, and the pass after that.
    unheard = timedelta(seconds=2.0 * reward.horizon_seconds) / timedelta(days=1) * shop.calendar.decisions
    unheard += shop.calendar.decisions / shop.calendar.passes
    return math.ceil(units * len(met) / len(set(met)) + unheard)


def _scaled_rewards(shop: Shop, since: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Rewards in [0, 1] of the closed decisions since then."""
    outcomes, reward = shop.engine.store.outcomes, shop.manifest.reward
    wanted = {one.decision.decision_id for one in shop.met[since:]}
    found: list[float] = []
    position = 0
    while rows := outcomes.scan(shop.policy, position, _BATCH):
        position = rows[-1].position
        found += [
            row.reward
            for row in rows
            if row.decision.decision_id in wanted and row.standing is OutcomeStanding.LEARNABLE
        ]
    scaled: np.ndarray[tuple[int], np.dtype[np.float64]] = (np.array(found) - reward.min) / (reward.max - reward.min)
    return scaled


def _squared_weights(shop: Shop, since: int, share: float) -> float:
    """E[(w_previous - w_live)²] under the mixture of both arms, exact over the interventions."""
    found = [_squares(one.decision, share) for one in shop.met[since:]]
    return math.fsum(one for one in found if one is not None) / max(sum(one is not None for one in found), 1)


def _squares(decision: Decision, share: float) -> float | None:
    assignment = decision.assignment
    if assignment is None or assignment.arm is not Arm.LIVE:
        return None
    before = next((each for each in assignment.beside if each.place == Arm.PREVIOUS.value), None)
    if before is None:
        return None
    pairs = zip(before.probabilities, decision.probabilities, strict=True)
    return math.fsum((old - new) ** 2 / (share * old + (1.0 - share) * new) for old, new in pairs)
