"""The canary: a launch claim with one unit a shopper, each assigned once and for good.

The pooled log with the mixture rho·π_c + (1-rho)π_i as propensity is right only with one decision a shopper; with
repeat shoppers it raised 17-44 % false alarms, because a sticky arm is one draw, not one a row.
"""

import numpy as np
import numpy.typing as npt

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.contrast import Bounds, Contrasts, Floats


def canary_bounds(share: float) -> Bounds:
    """U = 1/rho, L = 1/(1-rho)."""
    if not 0.0 < share < 1.0:
        raise InvalidInput("/share", f"must be in (0, 1); got {share}")
    return Bounds(upper=1.0 / share, lower=1.0 / (1.0 - share))


def arm_bounds(share: float) -> Bounds:
    """U = 1/rho, L = 1/(1-rho') for an arm beside the live one, of which a canary may take up to a half meanwhile.

    rho' = share/(share + (1-share)/2) is then the arm's share among its own shoppers and the live arm's.

    Args:
        share: Of the arm among its own shoppers and the live arm's while there is no canary, in (0, 1).
    """
    return Bounds(upper=canary_bounds(share).upper, lower=canary_bounds(2.0 * share / (1.0 + share)).lower)


def canary_contrasts(treated: npt.NDArray[np.bool_], outcome: Floats, share: float) -> Contrasts:
    """X_u(c) = (Z/rho - (1-Z)/(1-rho))(Y - c) with Z ~ Bernoulli(rho) a shopper, Y in [0, 1]; mean E[Y(1)] - E[Y(0)].

    Args:
        treated: Z, (m,), in order of first exposure.
        outcome: Y, (m,), the shopper's capped sum over a fixed window from first exposure.
        share: rho as declared and logged, not the share that came out.
    """
    bounds = canary_bounds(share)
    if treated.shape != outcome.shape:
        raise InvalidInput("/outcome", f"needs one value a shopper, {treated.shape}; got {outcome.shape}")
    difference = np.where(treated, bounds.upper, -bounds.lower)
    return Contrasts(gain=difference * outcome, tilt=difference, reward=outcome)
