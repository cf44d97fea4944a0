"""The sample-ratio test: is the canary's share of shoppers as promised? An e-value, since it is read repeatedly."""

import math
from typing import Final

import msgspec

from cxi_bandit.domain.errors import InvalidInput

CONCENTRATIONS: Final = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
"""Prior weights κ of the mixture: small ones see gross mismatches within dozens of shoppers, large ones see slight
ones."""


class SampleRatio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shoppers seen by arm; mergeable in any order.

    E = mean over κ of B(κrho + n₁, κ(1-rho) + n₀)/B(κrho, κ(1-rho)) / (rho^n₁ (1-rho)^n₀), a martingale under "each
    new shopper is in the canary with probability rho". Count shoppers, once each: rows follow how often a shopper
    returns, which the arm may change.
    Reference: Lindon, Malek, Anytime-valid inference for multinomial count data (2022).

    Attributes:
        share: rho, the canary's declared share.
        canary: n₁, distinct shoppers in the canary.
        control: n₀, distinct shoppers outside it.
    """

    share: float
    canary: int = 0
    control: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise InvalidInput("/share", f"must be in (0, 1); got {self.share}")
        if self.canary < 0 or self.control < 0:
            raise InvalidInput("/canary", "shoppers are counted from 0")

    def __add__(self, other: "SampleRatio") -> "SampleRatio":
        """Both sets of shoppers together; they must not overlap."""
        if other.share != self.share:
            raise InvalidInput("/share", f"cannot add counts of another share, {other.share}, to {self.share}")
        return SampleRatio(share=self.share, canary=self.canary + other.canary, control=self.control + other.control)

    @property
    def log_e(self) -> float:
        """The logarithm of E; reject at level alpha, at any time, when it reaches ln(1/alpha)."""
        logs = [self._log_bayes_factor(kappa) for kappa in CONCENTRATIONS]
        highest = max(logs)
        return highest + math.log(math.fsum(math.exp(log - highest) for log in logs) / len(logs))

    def _log_bayes_factor(self, kappa: float) -> float:
        inside, outside = kappa * self.share, kappa * (1.0 - self.share)
        alternative = _log_beta(inside + self.canary, outside + self.control) - _log_beta(inside, outside)
        return alternative - self.canary * math.log(self.share) - self.control * math.log1p(-self.share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
