"""IPS with capped weights."""

from simulator.estimators import weights
from simulator.estimators.estimator import MeanEstimator
from simulator.rounds import Float64s, ScoredRounds


class ClippedIps(MeanEstimator):
    """Clipped IPS = mean(min(w, λ)·r), in reward units.

    For rewards ≥ 0 the bias is towards 0. Ionides (2008), doi:10.1198/106186008X320456.

    Args:
        lam: λ > 0, the largest weight kept. The default 10 keeps the variance within 10 times that of an on-policy
            mean; choose it by SLOPE where it matters.
    """

    name = "clipped_ips"
    target = "the value with weights capped at λ, which is biased towards 0"

    def __init__(self, lam: float = 10.0) -> None:
        super().__init__()
        self.lam = weights.check_threshold(self.name, lam)

    @property
    def options(self) -> tuple[float, ...]:
        """λ."""
        return (self.lam,)

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """min(w, λ)·r."""
        return (weights.clipped(batch.weight, self.lam) * batch.reward,)
