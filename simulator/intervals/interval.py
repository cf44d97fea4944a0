"""An interval and what it assumes; and the range in which one row's score must lie."""

from dataclasses import dataclass

from cxi_bandit.domain.errors import InvalidInput


@dataclass(frozen=True)
class Interval:
    """A two-sided interval for an estimate.

    Args:
        name: How it was computed.
        lo: Lower end, reward units; nan where the data do not allow an interval.
        hi: Upper end, reward units.
        confidence: Nominal coverage, such as 0.95.
        assumptions: What must be true for the coverage to hold, in words for the report.
    """

    name: str
    lo: float
    hi: float
    confidence: float
    assumptions: str


@dataclass(frozen=True)
class ScoreBound:
    """Bounds of one row's score z before it is seen: z = w·r, or dm + w·(r - q̂) where a reward model is used.

    Args:
        reward_range: Declared (smallest, largest) reward, never the log's own.
        q_range: (Smallest, largest) prediction of the reward model; None for scores w·r.

    Raises:
        InvalidInput: A range is empty or not finite.
    """

    reward_range: tuple[float, float] = (0.0, 1.0)
    q_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        lo, hi = self.reward_range
        if not float("-inf") < lo < hi < float("inf"):
            raise InvalidInput("reward_range", f"({lo}, {hi}) is not a finite range")

    @property
    def slope(self) -> tuple[float, float]:
        """How fast the smallest and the largest z move with the weight."""
        r_lo, r_hi = self.reward_range
        q_lo, q_hi = self.q_range or (0.0, 0.0)
        return (r_lo - q_hi, r_hi - q_lo)

    def at(self, weight: float) -> tuple[float, float]:
        """Smallest and largest z of a row with importance weight `weight`."""
        q_lo, q_hi = self.q_range or (0.0, 0.0)
        slope_lo, slope_hi = self.slope
        return (q_lo + weight * slope_lo, q_hi + weight * slope_hi)

    def over(self, w_max: float) -> tuple[float, float]:
        """Smallest and largest z of a row whose weight is anywhere in [0, `w_max`]; z is linear in w."""
        (lo_0, hi_0), (lo_w, hi_w) = self.at(0.0), self.at(w_max)
        return (min(lo_0, lo_w), max(hi_0, hi_w))


def check_confidence(confidence: float) -> float:
    """Return 1 - confidence, or `InvalidInput` unless 0 < confidence < 1."""
    if not 0.0 < confidence < 1.0:
        raise InvalidInput("confidence", f"{confidence} is not between 0 and 1")
    return 1.0 - confidence
