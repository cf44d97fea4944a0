"""IPS with sub-Gaussian weights."""

from simulator.estimators import weights
from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class SgIps(MeanEstimator):
    """SG-IPS = mean(w/(1 - λ + λw)·r), in reward units.

    The power-mean correction with exponent -1: weights stay below 1/λ and the estimate has sub-Gaussian tails.
    Metelli, Russo, Restelli (2021), "Subgaussian and Differentiable Importance Sampling", NeurIPS 34.

    Args:
        lam: 0 ≤ λ < 1; 0 is IPS. The default 0.1 keeps weights below 10.
    """

    name = "sg_ips"
    target = "the value with weights shrunk below 1/λ, which is biased"

    def __init__(self, lam: float = 0.1) -> None:
        super().__init__()
        self.lam = weights.check_threshold(self.name, lam, upper=weights.BELOW_ONE)

    @property
    def options(self) -> tuple[float, ...]:
        """λ."""
        return (self.lam,)

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """w/(1 - λ + λw)·r."""
        return (weights.sub_gaussian(batch.weight, self.lam) * batch.reward,)
