"""A band for a mean over time that holds at every moment at once, from counts and sums by stretches of time."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.contrast import Floats

_LAMBDAS: Final = 0.9 * 2.0 ** -np.arange(13.0)
"""λ: 13 points from 0.9 down to 2e-4, which suit a spread V of 10 to 10^8; a factor 2 apart costs a few hundredths."""
_PENALTIES: Final = -np.log1p(-_LAMBDAS) - _LAMBDAS
_HALVINGS: Final = 40
_SLACK: Final = 1e-9


class RewardSums(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the rewards of one stretch of time; adds up.

    Attributes:
        number: n, how many.
        total: Sum of them, in their own unit.
        squares: Sum of their squares.
    """

    number: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "RewardSums") -> "RewardSums":
        return RewardSums(
            number=self.number + other.number, total=self.total + other.total, squares=self.squares + other.squares
        )


class Band(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """After each stretch, all (m,), in the rewards' unit.

    Attributes:
        number: Rewards seen until then.
        mean: Their mean; nan before the first.
        low: Lower end of the band.
        high: Upper end.
    """

    number: Floats
    mean: Floats
    low: Floats
    high: Floats


def mean_band(
    stretches: Sequence[RewardSums],
    reward_range: tuple[float, float],
    alpha: float,
    days: Sequence[int] | None = None,
) -> Band:
    """An empirical-Bernstein confidence sequence for the mean reward, looked at after each stretch.

    With X_i = (r_i - r_min)/(r_max - r_min), S = Σ X_i over the t rewards so far, and X̂ a guess made before the day
    that i is in, (½ + S_before)/(1 + t_before), V = Σ (X_i - X̂_i)²,

        M_t(m) = mean over λ of exp(λ(S - tm) - ψ(λ)V),   ψ(λ) = -ln(1 - λ) - λ,

    is a supermartingale at m = the mean of the X_i's conditional means, because exp(λy - ψ(λ)y²) ≤ 1 + λy for y ≥ -1.
    The lower end is the m where M reaches 2/alpha, the upper end the same of 1 - X. With probability 1 - alpha the band
    holds at all moments together, however often it is looked at, whatever the rewards' distribution within their range.

    What it holds for is the average over the rewards so far of each one's expectation given those before it. Where
    rewards have one mean and do not depend on each other that is the mean. Where shoppers come again, and are alike
    from one time to the next, it is an average over those who came, not over all who might have: it then says too
    little about chance among shoppers.

    V needs a stretch's count, sum and sum of squares only, and stretches of one day may be put together: the guess
    being of the days before, M is then as it was at every moment that can still be looked at. Stretches must come in
    the order of time.
    References: Fan, Grama, Liu (2015), doi:10.1214/EJP.v20-3496, for the inequality; Howard, Ramdas, McAuliffe, Sekhon
    (2021), doi:10.1214/20-AOS1991, theorem 4, for the sequence.

    Args:
        stretches: m of them.
        reward_range: Declared (r_min, r_max).
        alpha: Probability with which the band may fail at some moment.
        days: (m,), which day each stretch belongs to, never falling; None where each is a day.

    Raises:
        InvalidInput: The range is empty, alpha is outside (0, 1), sums cannot come from rewards within the range, or
            days go back.
    """
    low, high = reward_range
    if not low < high:
        raise InvalidInput("/reward/range", f"needs low < high; got {low} and {high}")
    if not 0.0 < alpha < 1.0:
        raise InvalidInput("/alpha", f"must be in (0, 1); got {alpha}")
    width = high - low
    number, own, squares = _scaled(stretches, low, width)
    seen, total = np.cumsum(number), np.cumsum(own)
    began = _began(len(number), days)
    guess = (0.5 + (total - own)[began]) / (1.0 + (seen - number)[began])
    spread = np.cumsum(np.maximum(squares - 2.0 * guess * own + number * guess**2, 0.0))
    reach = _reach(spread, alpha / 2.0)
    divisor = np.maximum(seen, 1.0)
    mean = np.where(seen > 0.0, total / divisor, np.nan)
    lowest = np.where(seen > 0.0, np.clip((total - reach) / divisor, 0.0, 1.0), 0.0)
    highest = np.where(seen > 0.0, np.clip((total + reach) / divisor, 0.0, 1.0), 1.0)
    return Band(number=seen, mean=low + width * mean, low=low + width * lowest, high=low + width * highest)


def _began(stretches: int, days: Sequence[int] | None) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Of each stretch the first one of its day."""
    if days is None:
        return np.arange(stretches)
    order = np.asarray(days, dtype=np.int64)
    if order.shape != (stretches,) or np.any(np.diff(order) < 0):
        raise InvalidInput("/days", f"needs a day for each of {stretches} stretches, in the order of time")
    return np.searchsorted(order, order, side="left")


def difference_band(served: Band, held: Band) -> Band:
    """The band of served - held, after the same stretches: fails with the sum of the two alphas at most.

    Args:
        held: Of the same length. The number is that of the smaller of the two.
    """
    if served.mean.shape != held.mean.shape:
        raise InvalidInput("/held", f"needs as many stretches, {len(served.mean)}; got {len(held.mean)}")
    return Band(
        number=np.minimum(served.number, held.number),
        mean=served.mean - held.mean,
        low=served.low - held.high,
        high=served.high - held.low,
    )


def _scaled(stretches: Sequence[RewardSums], low: float, width: float) -> tuple[Floats, Floats, Floats]:
    """Count, sum and sum of squares of X, (m,) each."""
    number = np.array([float(one.number) for one in stretches])
    total = np.array([one.total for one in stretches])
    squares = np.array([one.squares for one in stretches])
    own = (total - low * number) / width
    if np.any((own < -_SLACK * (1.0 + number)) | (own > number + _SLACK * (1.0 + number))):
        raise InvalidInput("/stretches", "hold rewards outside their declared range")
    return number, own, (squares - 2.0 * low * total + low**2 * number) / width**2


def _reach(spread: Floats, alpha: float) -> Floats:
    """S - tm at which M reaches 1/alpha, by V, (m,): halving between bounds that any one λ gives."""
    floor = -np.log(alpha)
    penalty = np.multiply.outer(spread, _PENALTIES)
    low = ((floor + penalty) / _LAMBDAS).min(axis=1)
    high = ((floor + np.log(len(_LAMBDAS)) + penalty) / _LAMBDAS).min(axis=1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        exponents = np.multiply.outer(middle, _LAMBDAS) - penalty
        highest = exponents.max(axis=1)
        reached = highest + np.log(np.exp(exponents - highest[:, None]).mean(axis=1)) >= floor
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    found: Floats = high
    return found
