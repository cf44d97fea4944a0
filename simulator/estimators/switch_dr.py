"""SWITCH: doubly robust where the weight is small, the reward model where it is not."""

from simulator.estimators import weights
from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class SwitchDr(MeanEstimator):
    """SWITCH-DR = mean(dm + w·1{w ≤ λ}·(r - q̂)), in reward units.

    λ = ∞ is DR, λ = 0 is DM (but for rows of weight 0, whose correction is 0 anyway). Wang, Agarwal, Dudík (2017),
    arXiv:1612.01205.

    Args:
        lam: λ ≥ 0, the largest weight that still corrects the model. The default 10 is where the weighted residual
            of a single row starts to dominate a few thousand; choose it by SLOPE where it matters.
    """

    name = "switch_dr"
    target = "the value with the model uncorrected where w > λ; the model's bias there is not in it"

    def __init__(self, lam: float = 10.0) -> None:
        super().__init__()
        self.lam = weights.check_threshold(self.name, lam)

    @property
    def options(self) -> tuple[float, ...]:
        """λ."""
        return (self.lam,)

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The column dm + w·1{w ≤ λ}·(r - q̂)."""
        return (batch.dm + weights.switched(batch.weight, self.lam) * batch.residual,)
