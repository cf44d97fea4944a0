"""Which interval rests on which premise: where all of its premises are kept, an interval claims its coverage."""

from enum import StrEnum
from typing import Final

MINIMUM_REWARD_ESS: Final = 100.0
"""Below this, of rewards or failures, the diagnostics turn amber, and neither normality nor resampling is claimed."""


class Premise(StrEnum):
    """A premise, worded as what is wrong where it is broken."""

    SUPPORT = "the candidate draws what the logger never did"
    PROPENSITY = "the logged propensities are not the true ones"
    OUTCOMES = "rewards are missing when the log is read"
    WINDOW = "the value sought is not the log's own window's"
    PLENTY = "few effective rewards (reward ESS below 100)"
    FAILURES = "few effective failures (failure ESS below 100)"
    FIXED_LOGGER = "the logger learns from the very rows, so they are not independent"
    ONE_DECISION = "several decisions a shopper"
    NAMED = "rows of one shopper, not named as such"
    EQUAL_WEIGHTS = "rows do not weigh alike"


_EVERYBODY: Final = frozenset({Premise.SUPPORT, Premise.PROPENSITY, Premise.OUTCOMES, Premise.WINDOW})
_ROWS_ALONE: Final = _EVERYBODY | {Premise.FIXED_LOGGER, Premise.ONE_DECISION}
_LARGE_SAMPLE: Final = _EVERYBODY | {Premise.FIXED_LOGGER, Premise.PLENTY, Premise.FAILURES, Premise.NAMED}

PREMISES: Final[dict[str, frozenset[Premise]]] = {
    "gaussian": _LARGE_SAMPLE,
    "bootstrap": _LARGE_SAMPLE,
    "empirical_bernstein": _ROWS_ALONE,
    "cressie_read": _ROWS_ALONE,
    # Its ends come apart, from w·r and w·(1 - r): mass that was never drawn lowers the one and raises the other.
    "confidence_sequence": _EVERYBODY - {Premise.SUPPORT} | {Premise.ONE_DECISION},
    "clopper_pearson": _ROWS_ALONE | {Premise.EQUAL_WEIGHTS},
}


def broken(interval: str, breaks: frozenset[Premise]) -> tuple[Premise, ...]:
    """The premises of `interval` that are among `breaks`, in a fixed order; empty where it claims its coverage."""
    needed = PREMISES[interval] & breaks
    return tuple(premise for premise in Premise if premise in needed)
