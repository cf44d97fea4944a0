"""Inverse propensity scoring."""

from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class Ips(MeanEstimator):
    """IPS = mean(w·r), w_i = π_e(a_i|x_i)/p_i, shape (n,), in reward units.

    Unbiased wherever π_e has support under the true p; its variance grows with the weights and with the reward's
    distance from 0. Horvitz and Thompson (1952), doi:10.1080/01621459.1952.10483446.
    """

    name = "ips"

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The column w·r."""
        return (batch.weight * batch.reward,)
