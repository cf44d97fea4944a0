"""The direct method."""

from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class DirectMethod(MeanEstimator):
    """DM = mean(dm), dm_i = Σ_a π_e(a|x_i) q̂(x_i, a), shape (n,), in reward units.

    No weights and little variance, but biased whenever q̂ is, and its standard error does not know that. See Dudík et
    al. (2014), doi:10.1214/14-STS500.
    """

    name = "dm"
    target = "the reward model's own prediction of the value; the model's bias and its fitting error are not in it"

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The column dm."""
        return (batch.dm,)
