"""IPS over pooled logging versions, weighted by the mixture that logged them."""

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class Balanced(MeanEstimator):
    """Balanced IPS = mean(π_e(a)/p̄(a)·r), p̄ = Σ_v share_v·p_v the mixture of the logging versions, in reward units.

    Never more variance than weighting each row by the version that logged it. With one logging version it is IPS. Valid
    for pooled logs in which rows are independent; not for adaptive logs of repeat shoppers. Agarwal, Basu, Schnabel,
    Joachims (2017), arXiv:1703.07718.
    """

    name = "balanced"

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """π_e(a)/p̄(a)·r."""
        propensity = batch.rounds.propensity if batch.mixture_propensity is None else batch.mixture_propensity
        return (batch.candidate_of_action / propensity * batch.reward,)


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
