"""IPS over pooled logging versions, weighted by the mixture that logged them."""

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
