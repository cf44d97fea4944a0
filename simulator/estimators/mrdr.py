"""More robust doubly robust: DR whose reward model was fitted to make DR's variance small."""

from simulator.estimators.dr import DoublyRobust
from simulator.rounds import Float64s


class Mrdr(DoublyRobust):
    """MRDR = DR, in reward units, over batches whose q̂ was fitted under `mrdr_weight`.

    The estimate is DR's; only the reward model differs, so give it `batch.with_predictions(q̂_mrdr)`. Measured, neither
    form of the weight reliably beat plain DR. Farajtabar, Chow, Ghavamzadeh (2018), arXiv:1802.03493.
    """

    name = "mrdr"


def mrdr_weight(weight: Float64s, propensity: Float64s) -> Float64s:
    """Fitting weight of each row, π_e²(1 - p)/p² at the logged action, shape (n,).

    In expectation over the logged action this is Σ_a π_e²(1 - p)/p · (error of q̂ at a)², the part of DR's variance
    that q̂ can reduce. The form π_e(1 - p)/p² is exact only for a deterministic π_e.

    Args:
        weight: w = π_e/p, shape (n,).
        propensity: p, shape (n,).
    """
    return weight**2 * (1.0 - propensity)
