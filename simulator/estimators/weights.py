"""Shrunken importance weights: four ways to give up weight (adding bias) for variance, each with one λ."""

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from simulator.rounds import Float64s

# At λ = 1 a weight of 0 would become 0/0.
BELOW_ONE = float(np.nextafter(1.0, 0.0))


def clipped(weight: Float64s, lam: float) -> Float64s:
    """min(w, λ), λ > 0. Bias grows as λ falls; λ = ∞ changes nothing."""
    return np.minimum(weight, lam)


def switched(weight: Float64s, lam: float) -> Float64s:
    """w·1{w ≤ λ}, λ ≥ 0 (Wang, Agarwal, Dudík 2017, arXiv:1612.01205). Bias grows as λ falls."""
    return np.where(weight <= lam, weight, 0.0)


def optimistic(weight: Float64s, lam: float) -> Float64s:
    """The weight λw / (w² + λ), λ ≥ 0 (Su et al. 2020, arXiv:1907.09623).

    Bias grows as λ falls; λ = ∞ changes nothing, λ = 0 gives 0.
    """
    if np.isinf(lam):
        return weight
    if lam == 0.0:
        return np.zeros_like(weight)
    return lam * weight / (weight**2 + lam)


def sub_gaussian(weight: Float64s, lam: float) -> Float64s:
    """The weight w / (1 - λ + λw), 0 ≤ λ < 1 (Metelli, Russo, Restelli 2021).

    Bias grows *with* λ; λ = 0 changes nothing.
    """
    return weight / (1.0 - lam + lam * weight)


def check_threshold(name: str, lam: float, *, upper: float = np.inf) -> float:
    """Return `lam`, or raise `InvalidInput` unless 0 ≤ λ ≤ `upper`."""
    if not 0.0 <= lam <= upper:
        raise InvalidInput(f"{name}.lambda", f"{lam} is not between 0 and {upper:g}")
    return float(lam)
