"""The propensity of a log that several versions of a policy made: of their mixture, whichever of them drew."""

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.rounds import Float64s


def mixture_propensity(of_action: Float64s, shares: Float64s) -> Float64s:
    """p̄(a_i|x_i) = Σ_v share_v·p_v(a_i|x_i), shape (n,).

    Args:
        of_action: Probability each version gives the logged action of *every* row, shape (V, n).
        shares: Fraction of all rows (of all partitions) that each version logged, shape (V,), summing to 1.

    Raises:
        InvalidInput: The shares are not a distribution or the shapes do not agree.
    """
    if of_action.ndim != 2 or shares.shape != (len(of_action),):  # noqa: PLR2004 - a matrix has two axes
        raise InvalidInput("shares", f"shape {shares.shape} does not fit {of_action.shape}, expected (V,) and (V, n)")
    if (shares < 0).any() or not np.isclose(shares.sum(), 1.0):
        raise InvalidInput("shares", "must be non-negative and sum to 1")
    mixed: Float64s = shares @ of_action
    return mixed
