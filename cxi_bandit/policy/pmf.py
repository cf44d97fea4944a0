"""Probability vectors: checked before use, floored, and the same bits in the draw, the log and the answer."""

import math
from collections.abc import Sequence
from typing import Final

from cxi_bandit.domain.errors import DistributionInvalid

SUM_TOLERANCE: Final = 1e-6
"""VW's vectors are float32 and need not sum to 1; further off than this they are wrong, not rounded."""


def checked(pmf: Sequence[float], length: int) -> Sequence[float]:
    """`pmf` itself, once it is known to be a distribution over `length` interventions.

    Raises:
        DistributionInvalid: Wrong length, a value that is negative or not finite, or a sum off 1 by more than 1e-6.
    """
    if len(pmf) != length:
        raise DistributionInvalid(f"{len(pmf)} probabilities for {length} interventions")
    # NaN and infinities never come within the tolerance, so the usual vector is gone through twice, in C.
    if pmf and min(pmf) >= 0.0 and abs(math.fsum(pmf) - 1.0) <= SUM_TOLERANCE:
        return pmf
    for value in pmf:
        if not value >= 0.0 or value == math.inf:
            raise DistributionInvalid(f"probability {value!r}")
    raise DistributionInvalid(f"probabilities sum to {math.fsum(pmf)!r}")


def floored(pmf: Sequence[float], floors: Sequence[float]) -> tuple[float, ...]:
    """Mixes in the floors and renormalises: p'_a = f_a + (1 - sum f) p_a / sum p, then over the sum.

    Args:
        pmf: Checked, shape (K,).
        floors: Least probability per intervention, shape (K,), summing below 1.

    Returns:
        float64 vector, shape (K,): positive wherever the floor is, summing to 1 within rounding.
    """
    room = (1.0 - math.fsum(floors)) / math.fsum(pmf)
    mixed = [floor + room * value for floor, value in zip(floors, pmf, strict=True)]
    total = math.fsum(mixed)
    if total == 1.0:
        # Nine times in ten, and dividing by it changes no bit.
        return tuple(mixed)
    # A tuple of a list: of a generator it would take half as long again, in every decision.
    return tuple([value / total for value in mixed])
