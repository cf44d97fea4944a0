"""The contrast: what one logged decision says about candidate against incumbent, and the bounds declared for it."""

import math

import msgspec
import numpy as np
import numpy.typing as npt

from cxi_bandit.domain.errors import InvalidInput

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_SLACK = 1e-9  # float64 rounding of a ratio of probabilities, nothing more
_SUM_TOLERANCE = 1e-6


class IncumbentUnsupported(InvalidInput):
    """The log never draws something that the incumbent does: its value cannot be estimated, and the gate refuses."""


class BoundExceeded(InvalidInput):
    """An observation lies outside the declared bounds: the declaration was wrong, and no bet on it is valid."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is declared about the weights before the window opens; never read off the log.

    A log's own maxima are chosen by the very draws that the bet is on, which is how a fair game stops being fair.

    Attributes:
        upper: U ≥ sup(g - w_i).
        lower: L ≥ sup(w_i - g).
        shortfall: sup(1 - s), the candidate's mass that clipping or missing support may take away; 0 when neither can.
    """

    upper: float
    lower: float
    shortfall: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("upper", self.upper), ("lower", self.lower)):
            if not (value > 0.0 and math.isfinite(value)):
                raise InvalidInput(f"/bounds/{name}", f"must be finite and above 0; got {value}")
        if not 0.0 <= self.shortfall <= 1.0:
            raise InvalidInput("/bounds/shortfall", f"must be in [0, 1]; got {self.shortfall}")

    def scale(self, baseline: Floats, delta: float) -> Floats:
        """B(c) = max(cU, (1-c)L) + c·shortfall + max(δ, 0), so that (X(c) - δ)/B(c) ≥ -1. Shape of `baseline`."""
        reach = np.maximum(baseline * self.upper, (1.0 - baseline) * self.lower)
        return reach + baseline * self.shortfall + max(delta, 0.0)


def bounds_where_incumbent_logs(weight_cap: float, *, shortfall: float = 1.0) -> Bounds:
    """U = G - 1, L = 1: the incumbent's own log has w_i = 1 on every row; shortfall 0 if no weight exceeds G."""
    return Bounds(upper=weight_cap - 1.0, lower=1.0, shortfall=shortfall)


def bounds_from_floor(weight_cap: float, floor: float, *, shortfall: float = 1.0) -> Bounds:
    """U = min(G, 1/floor), L = 1/floor, for any log whose every probability is 0 or at least `floor`."""
    if not 0.0 < floor < 1.0:
        raise InvalidInput("/floor", f"must be in (0, 1); got {floor}")
    return Bounds(upper=min(weight_cap, 1.0 / floor), lower=1.0 / floor, shortfall=shortfall)


class Differences(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Per row: `difference` g - w_i and `shortfall` 1 - s, both (n,)."""

    difference: Floats
    shortfall: Floats


class Contrasts(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Per betting unit, all (m,): X(c) = gain - c·tilt, and the mean reward, from which later baselines c are made.

    For one row gain = (g - w_i)·r and tilt = (g - w_i) + (1 - s), which gives X(c) = (g - w_i)(r - c) - (1 - s)c.
    """

    gain: Floats
    tilt: Floats
    reward: Floats


def weight_differences(
    *, logged: Floats, incumbent: Floats, candidate: Floats, action: Integers, weight_cap: float, bounds: Bounds
) -> Differences:
    """What each row says: g - w_i and 1 - s.

    w_i = π_i(a)/p(a), g = min(π_e(a)/p(a), G), s = Σ_{a: p>0} min(π_e(a), G·p(a)).
    (g - w_i)(r - c) - (1 - s)c then has mean ≤ V_e - V_i for every c in [0, 1] chosen beforehand, also under clipping
    and where the log lacks support for the candidate. Reference: Karampatziakis, Mineiro, Ramdas (2021).

    Args:
        logged: p, the vectors really sampled from, (n, K); 0 where an intervention was not eligible.
        incumbent: π_i on the same rows, (n, K).
        candidate: π_e on the same rows, (n, K).
        action: Index of the drawn intervention, (n,).
        weight_cap: G.
        bounds: As declared before the window.

    Raises:
        InvalidInput: Shapes disagree, a vector is no distribution, or the drawn intervention had p = 0.
        IncumbentUnsupported: π_i > 0 somewhere where p = 0.
        BoundExceeded: A difference or shortfall beyond `bounds`.
    """
    for name, vectors in (("logged", logged), ("incumbent", incumbent), ("candidate", candidate)):
        _check_distributions(name, vectors, logged.shape)
    if action.shape != logged.shape[:1]:
        raise InvalidInput("/action", f"needs one index a row, {logged.shape[0]}; got shape {action.shape}")
    if np.any((action < 0) | (action >= logged.shape[1])):
        raise InvalidInput("/action", f"indices must be in [0, {logged.shape[1]})")
    rows = np.arange(len(action))
    drawn = logged[rows, action]
    if np.any(drawn <= 0.0):
        raise InvalidInput(f"/logged/{int(np.argmax(drawn <= 0.0))}", "the drawn intervention has probability 0")
    orphaned = np.where(logged > 0.0, 0.0, incumbent).sum(axis=1)
    if np.any(orphaned > 0.0):
        row = int(np.argmax(orphaned > 0.0))
        raise IncumbentUnsupported(f"/incumbent/{row}", f"puts {orphaned[row]:.3g} where the log never draws")
    kept = np.minimum(candidate, weight_cap * logged).sum(axis=1)
    differences = Differences(
        difference=np.minimum(candidate[rows, action] / drawn, weight_cap) - incumbent[rows, action] / drawn,
        # Rounding leaves 1e-17 where nothing was lost, and a declared shortfall of exactly 0 must hold there.
        shortfall=np.where(1.0 - kept > _SLACK, 1.0 - kept, 0.0),
    )
    check_bounds(differences, bounds)
    return differences


def check_bounds(differences: Differences, bounds: Bounds) -> None:
    """Raise BoundExceeded, naming the row, where a difference or shortfall is outside what was declared."""
    upper, lower = bounds.upper * (1.0 + _SLACK), bounds.lower * (1.0 + _SLACK)
    # Written as "not inside" so that NaN is outside.
    outside = ~((differences.difference <= upper) & (differences.difference >= -lower))
    if np.any(outside):
        row = int(np.argmax(outside))
        raise BoundExceeded(
            f"/rows/{row}",
            f"weight difference {differences.difference[row]:.6g} is outside [-{bounds.lower:.6g}, {bounds.upper:.6g}]",
        )
    outside = ~((differences.shortfall <= bounds.shortfall + _SLACK) & (differences.shortfall >= 0.0))
    if np.any(outside):
        row = int(np.argmax(outside))
        raise BoundExceeded(
            f"/rows/{row}", f"shortfall {differences.shortfall[row]:.6g} is outside [0, {bounds.shortfall:.6g}]"
        )


def scaled(values: Floats, low: float, high: float) -> tuple[Floats, int]:
    """Rewards (n,) in their own unit → r in [0, 1] by the declared range, and how many had to be clipped.

    A value outside the range (a quarantined one) enters clipped: dropping it would select rows by their outcome.

    Raises:
        InvalidInput: A value is NaN, or the range is empty.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidInput("/reward/range", f"needs finite low < high; got {low} and {high}")
    if np.any(np.isnan(values)):
        raise InvalidInput(f"/reward/{int(np.argmax(np.isnan(values)))}", "is not a number")
    clipped = int(np.count_nonzero((values < low) | (values > high)))
    # Clip before scaling: an infinite value must become 0 or 1, not inf/inf.
    return (np.clip(values, low, high) - low) / (high - low), clipped


def _check_distributions(name: str, vectors: Floats, shape: tuple[int, ...]) -> None:
    if vectors.ndim != 2 or vectors.shape != shape:  # noqa: PLR2004 - rows by interventions
        raise InvalidInput(f"/{name}", f"must have the logged vectors' shape (n, K) = {shape}; got {vectors.shape}")
    wrong = ~((vectors >= 0.0).all(axis=1) & (np.abs(vectors.sum(axis=1) - 1.0) <= _SUM_TOLERANCE))
    if np.any(wrong):
        raise InvalidInput(f"/{name}/{int(np.argmax(wrong))}", "is no distribution: entries ≥ 0 that sum to 1")
