"""SLOPE: choose how much bias to accept by comparing intervals, needing no truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators.clipped_ips import ClippedIps
from simulator.estimators.dros import DrOs
from simulator.estimators.estimator import PointEstimate
from simulator.estimators.sg_dr import SgDr
from simulator.estimators.sg_ips import SgIps
from simulator.estimators.switch_dr import SwitchDr
from simulator.rounds import ScoredRounds

Tunable = ClippedIps | SwitchDr | DrOs | SgIps | SgDr


@dataclass(frozen=True)
class SlopeSelection:
    """What SLOPE chose. The chosen estimate's interval is void unless λ was selected on other rows than it is read on.

    Args:
        lam: The selected λ.
        candidates: λ in the order compared, bias growing.
        estimates: The estimate at each of `candidates`.
    """

    lam: float
    candidates: tuple[float, ...]
    estimates: tuple[PointEstimate, ...]


def slope_index(values: Sequence[float], half_widths: Sequence[float]) -> int:
    """Index of the largest i with |θ_i - θ_j| ≤ CNF_i + (√6 - 1)·CNF_j for all j < i.

    Args:
        values: θ, ordered by growing bias (and falling variance).
        half_widths: CNF, the half-width of each one's interval, in the same units.

    Reference: Su, Srinath, Krishnamurthy (2020), "Adaptive Estimator Selection for Off-Policy Evaluation",
    arXiv:2002.07729.
    """
    if not values or len(values) != len(half_widths):
        raise InvalidInput("half_widths", "one for each value, and at least one, is needed")
    theta, width = np.asarray(values), np.asarray(half_widths)
    if not (np.isfinite(theta).all() and np.isfinite(width).all()):
        raise InvalidInput("values", "SLOPE needs finite estimates and half-widths")
    slack = (np.sqrt(6.0) - 1.0) * width
    admissible = [i for i in range(len(theta)) if (np.abs(theta[i] - theta[:i]) <= width[i] + slack[:i]).all()]
    return admissible[-1]


def select_by_slope(
    family: type[Tunable], lambdas: Sequence[float], batches: Sequence[ScoredRounds], confidence: float = 0.95
) -> SlopeSelection:
    """Run `family` at every λ over `batches` and choose by SLOPE with Gaussian half-widths at `confidence`."""
    # Only the sub-Gaussian families shrink more as λ grows; the others shrink more as it falls.
    ordered = sorted(set(lambdas), reverse=not issubclass(family, SgIps | SgDr))
    estimates = []
    for lam in ordered:
        estimator = family(lam)
        for batch in batches:
            estimator.update(batch)
        estimates.append(estimator.result())
    z = float(norm.ppf(0.5 + confidence / 2))
    chosen = slope_index([e.value for e in estimates], [z * e.standard_error for e in estimates])
    return SlopeSelection(ordered[chosen], tuple(ordered), tuple(estimates))
