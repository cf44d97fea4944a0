"""Doubly robust with optimistic shrinkage."""

from simulator.estimators import weights
from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class DrOs(MeanEstimator):
    """DRos = mean(dm + λw/(w² + λ)·(r - q̂)), in reward units.

    The shrunken weight minimises a bound on the mean squared error; it never exceeds √λ/2, and tends to w as λ grows.
    λ = ∞ is DR, λ = 0 is DM. Su, Dimakopoulou, Krishnamurthy, Dudík (2020), arXiv:1907.09623.

    Args:
        lam: λ ≥ 0. The default 100 caps a weight at 5 and leaves weights below 3 within a tenth of themselves.
    """

    name = "dros"
    target = "the value with shrunken corrections; the model's bias where w is large is partly in it"

    def __init__(self, lam: float = 100.0) -> None:
        super().__init__()
        self.lam = weights.check_threshold(self.name, lam)

    @property
    def options(self) -> tuple[float, ...]:
        """λ."""
        return (self.lam,)

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The column dm + λw/(w² + λ)·(r - q̂)."""
        return (batch.dm + weights.optimistic(batch.weight, self.lam) * batch.residual,)
