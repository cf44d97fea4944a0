"""Self-normalised inverse propensity scoring."""

from simulator.estimators.estimator import RatioEstimator
from simulator.rounds import Float64s, ScoredRounds


class Snips(RatioEstimator):
    """SNIPS = Σ w·r / Σ w, in reward units; nan where no logged action has mass under π_e.

    Bias O(1/n) for far less variance than IPS, and a constant reward is recovered exactly. Influence of row i by the
    delta method: (w_i r_i - SNIPS·w_i) / w̄. Swaminathan and Joachims (2015), NeurIPS 28.
    """

    name = "snips"

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The columns w·r and w."""
        return (batch.weight * batch.reward, batch.weight)
