"""Doubly robust with sub-Gaussian weights."""

from simulator.estimators import weights
from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class SgDr(MeanEstimator):
    """SG-DR = mean(dm + w/(1 - λ + λw)·(r - q̂)), in reward units.

    SG-IPS applied to the residual of the reward model. Metelli, Russo, Restelli (2021), "Subgaussian and
    Differentiable Importance Sampling", NeurIPS 34.

    Args:
        lam: 0 ≤ λ < 1; 0 is DR. The default 0.1 keeps weights below 10.
    """

    name = "sg_dr"
    target = "the value with shrunken corrections; the model's bias where w is large is partly in it"

    def __init__(self, lam: float = 0.1) -> None:
        super().__init__()
        self.lam = weights.check_threshold(self.name, lam, upper=weights.BELOW_ONE)

    @property
    def options(self) -> tuple[float, ...]:
        """λ."""
        return (self.lam,)

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The column dm + w/(1 - λ + λw)·(r - q̂)."""
        return (batch.dm + weights.sub_gaussian(batch.weight, self.lam) * batch.residual,)
