"""The doubly robust estimator."""

from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class DoublyRobust(MeanEstimator):
    """DR = mean(dm + w·(r - q̂)), in reward units.

    Unbiased when p is true *or* q̂ is; q̂ must come from other folds. With q̂ = 0 it is IPS. Dudík, Erhan, Langford, Li
    (2014), doi:10.1214/14-STS500.
    """

    name = "dr"

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The column dm + w·(r - q̂)."""
        return (batch.dm + batch.weight * batch.residual,)
