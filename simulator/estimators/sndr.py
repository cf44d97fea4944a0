"""Self-normalised doubly robust."""

import numpy as np

from simulator.estimators.estimator import Estimator, divide
from simulator.rounds import Float64s, ScoredRounds


class SelfNormalisedDoublyRobust(Estimator):
    """SNDR = mean(dm) + Σ w·(r - q̂) / Σ w, in reward units; nan where no logged action has mass under π_e.

    The residual's weights sum to 1, so one huge weight cannot throw the estimate outside the range of the residuals.
    Gradient at (dm, wδ, w): (1, 1/w̄, -mean(wδ)/w̄²). Thomas and Brunskill (2016), arXiv:1604.00923.
    """

    name = "sndr"

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The columns dm, w·(r - q̂) and w."""
        return (batch.dm, batch.weight * batch.residual, batch.weight)

    def readout(self, means: Float64s) -> Float64s:
        """The column dm + wδ/w."""
        return means[..., 0] + divide(means[..., 1], means[..., 2])

    def gradient(self, means: Float64s) -> Float64s:
        """(1, 1/w, -wδ/w²)."""
        _, residual, weight = means
        if weight == 0.0:
            return np.full(3, np.nan)
        return np.array([1.0, 1.0 / weight, -residual / weight**2])
