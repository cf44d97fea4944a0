"""What the page shows of the rows themselves: the weights, the draws and the outcomes, action by action."""

from dataclasses import dataclass
from math import ceil, floor, isfinite, log2, sqrt

import numpy as np
from scipy.stats import norm

from cxi_bandit.domain.errors import InvalidInput
from simulator.calibration import LARGEST_TERM, LEAST_EXPECTED, CalibrationSums
from simulator.candidates import Prepared
from simulator.datasets.log import Shown
from simulator.estimators.moments import Moments
from simulator.rounds import Bools, Float64s, Ints, LoggedRounds

_SMALLEST_EDGE = -3  # weights below 2^-3 share a bin: they carry next to nothing
_MOST_BINS = 12
_FAMILY_ERROR = 0.05  # chance that any action of an honest log leaves its band
AGE_GROUPS = 4


@dataclass(frozen=True)
class WeightBin:
    """Rows whose weight lies in [low, high): their share of all rows, and of all weight."""

    low: float
    high: float
    rows: int
    row_share: float
    weight_share: float


@dataclass(frozen=True)
class DrawnAction:
    """How often an action was drawn, against what the logged propensities promise.

    Args:
        drawn: Rows in which it was drawn.
        promised: Σ p over the rows; None where only the drawn action's propensity is known.
        ratio: Drawn over promised, or, without whole vectors, Σ 1/p over the rows it could be drawn in; 1 is right.
        half_width: Half the band around 1 that honest propensities leave with 5 %, all actions together.
        few: Whether too few draws stand behind it for a test of its own.
    """

    name: str
    drawn: int
    promised: float | None
    ratio: float
    half_width: float
    few: bool

    @property
    def inside(self) -> bool:
        """Whether it lies in its band."""
        return abs(self.ratio - 1.0) <= self.half_width


@dataclass(frozen=True)
class Rate:
    """How many rows there are of something, and in how many of them something happened."""

    name: str
    rows: int
    hits: int

    @property
    def share(self) -> float:
        """Hits over rows; 0 where there are no rows."""
        return self.hits / self.rows if self.rows else 0.0

    def interval(self, confidence: float) -> tuple[float, float]:
        """Wilson's interval (1927), doi:10.1080/01621459.1927.10502953; (0, 1) where there are no rows."""
        if not self.rows:
            return 0.0, 1.0
        z = float(norm.ppf(0.5 + confidence / 2))
        scale = 1.0 + z * z / self.rows
        middle = (self.share + z * z / (2 * self.rows)) / scale
        half = z / scale * sqrt(self.share * (1.0 - self.share) / self.rows + z * z / (4 * self.rows**2))
        low, high = max(0.0, middle - half), min(1.0, middle + half)
        # In exact arithmetic it holds the share itself.
        return min(low, self.share), max(high, self.share)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """One rate over a log: all in all, by action, and by age, the oldest quarter first."""

    overall: Rate
    by_action: tuple[Rate, ...]
    by_age: tuple[Rate, ...]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What the page draws.

    Args:
        logged_mean: Mean reward of the rows as they were logged, reward units.
        logged_interval: Normal, by shopper where the log names shoppers; None below two units.
        weights: Bins from 0 up.
        whole_vectors: Whether the log holds the probabilities of all actions, not only of the drawn one.
        completed: Rows for which a reward event arrived; None where the log cannot tell.
        activated: Decisions that were shown; None where nobody reports it.
    """

    logged_mean: float
    logged_interval: tuple[float, float] | None
    weights: tuple[WeightBin, ...]
    drawn: tuple[DrawnAction, ...]
    whole_vectors: bool
    completed: Rates | None
    activated: Rates | None


def measured(prepared: Prepared, confidence: float) -> Measures:
    """Looks at the rows that were evaluated.

    Raises:
        InvalidInput: The log has no rows.
    """
    log, rounds = prepared.log, prepared.log.rounds
    if not len(rounds):
        raise InvalidInput("log", f"{log.name} has no rows")
    weight = prepared.probabilities[np.arange(len(rounds)), rounds.action].astype(np.float64) / rounds.propensity
    completed = None if log.completed is None else _rates(rounds, log.completed)
    shown = None
    if log.shown is not None:
        shown = log.shown.between(float(rounds.logged_at.min()), float(rounds.logged_at.max()))
    return Measures(
        logged_mean=float(rounds.reward.mean()),
        logged_interval=_logged_interval(rounds, confidence),
        weights=weight_bins(weight),
        drawn=drawn_actions(rounds),
        whole_vectors=rounds.probabilities is not None,
        completed=completed,
        activated=None if shown is None else _shown_rates(rounds, shown),
    )


def weight_bins(weight: Float64s) -> tuple[WeightBin, ...]:
    """Bins by powers of 2, of 4 or of 16, whichever makes few enough of them; weight 0 has one of its own."""
    total = float(weight.sum())
    highest = max(floor(log2(float(weight.max()))) + 1, 1) if total > 0 else 1
    step = next(s for s in (1, 2, 4, 8, 64, 2048) if (highest - _SMALLEST_EDGE) / s <= _MOST_BINS)
    count = ceil((highest - _SMALLEST_EDGE) / step)
    edges = [0.0, np.nextafter(0.0, 1.0), *(2.0 ** (_SMALLEST_EDGE + step * k) for k in range(count + 1))]
    rows, _ = np.histogram(weight, edges)
    mass, _ = np.histogram(weight, edges, weights=weight)
    # Nothing is learned from empty bins below the smallest weight there is.
    shown = [0, *range(next((k for k in range(1, len(rows)) if rows[k]), 1), len(rows))]
    return tuple(
        WeightBin(
            low=0.0 if k < 2 else edges[k],  # noqa: PLR2004 - the bin of zeros, and the one right above them
            high=0.0 if k == 0 else edges[k + 1],
            rows=int(rows[k]),
            row_share=float(rows[k]) / len(weight),
            weight_share=float(mass[k]) / total if total > 0 else 0.0,
        )
        for k in shown
    )


def drawn_actions(rounds: LoggedRounds) -> tuple[DrawnAction, ...]:
    """Every action that could be drawn, in catalogue order."""
    sums = CalibrationSums.of(rounds)
    tested = int(np.count_nonzero(sums.rows > 0))
    limit = float(norm.isf(_FAMILY_ERROR / 2 / max(tested, 1)))
    found = []
    for k, name in enumerate(rounds.actions):
        if sums.expected is not None and sums.squares is not None:
            value, due, variance = sums.drawn[k], sums.expected[k], sums.expected[k] - sums.squares[k]
            few = bool(due < LEAST_EXPECTED)
        else:
            value, due, variance = sums.inverse[k], sums.rows[k], sums.spread[k]
            few = bool(sums.drawn[k] < LEAST_EXPECTED or sums.largest[k] > LARGEST_TERM * sqrt(max(variance, 0.0)))
        if due <= 0.0:
            continue
        half = limit * sqrt(max(variance, 0.0)) / due
        promised = float(due) if rounds.probabilities is not None else None
        found.append(DrawnAction(name, int(sums.drawn[k]), promised, float(value / due), float(half), few))
    return tuple(found)


def _logged_interval(rounds: LoggedRounds, confidence: float) -> tuple[float, float] | None:
    moments = Moments.of((rounds.reward,), rounds.subject)
    one = np.ones(1)
    variance = moments.variance_by_row(one) if rounds.subject is None else moments.variance_by_subject(one)
    if not isfinite(variance):
        return None
    half = float(norm.ppf(0.5 + confidence / 2)) * sqrt(variance)
    return float(moments.mean[0]) - half, float(moments.mean[0]) + half


def _shown_rates(rounds: LoggedRounds, shown: Shown) -> Rates:
    return _by_action_and_age(rounds.actions, shown.action, shown.logged_at, shown.activated)


def _rates(rounds: LoggedRounds, happened: Bools) -> Rates:
    return _by_action_and_age(rounds.actions, rounds.action, rounds.logged_at, happened)


def _by_action_and_age(actions: tuple[str, ...], action: Ints, logged_at: Float64s, happened: Bools) -> Rates:
    rows = np.bincount(action, minlength=len(actions))
    hits = np.bincount(action[happened], minlength=len(actions))
    order = np.argsort(logged_at, kind="stable")
    quarters = np.array_split(happened[order], AGE_GROUPS)
    names = ("oldest quarter", "second quarter", "third quarter", "newest quarter")
    return Rates(
        overall=Rate("all actions", len(happened), int(happened.sum())),
        by_action=tuple(Rate(n, int(r), int(h)) for n, r, h in zip(actions, rows, hits, strict=True) if r),
        by_age=tuple(Rate(n, len(q), int(q.sum())) for n, q in zip(names, quarters, strict=True)),
    )
