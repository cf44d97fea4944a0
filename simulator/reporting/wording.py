"""Words and numbers as the page prints them."""

from datetime import UTC, datetime
from math import exp, log
from typing import Final

from cxi_bandit.domain.evaluation import Level
from cxi_bandit.domain.gate import Ruling

UNGATED: Final = "no_gate"
"""The reason of a verdict that no gate was asked for."""

ESTIMATORS: Final = {
    "ips": "inverse propensity weighting",
    "clipped_ips": "inverse propensity weighting, weights capped",
    "snips": "self-normalised inverse propensity weighting",
    "dm": "the reward model alone",
    "dr": "doubly robust",
    "sndr": "self-normalised doubly robust",
    "switch_dr": "doubly robust, the model alone where weights are large",
    "dros": "doubly robust with shrunken weights",
    "sg_ips": "inverse propensity weighting, sub-Gaussian",
    "sg_dr": "doubly robust, sub-Gaussian",
    "mrdr": "doubly robust, model fitted for least variance",
    "balanced": "weighted by the mixture of the logging versions",
    "replay_match": "mean of the rows in which both agree",
}

INTERVALS: Final = {
    "cressie_read": "empirical likelihood, Cressie-Read",
    "gaussian": "normal",
    "bootstrap": "percentile bootstrap",
    "empirical_bernstein": "empirical Bernstein",
    "confidence_sequence": "confidence sequence",
}

CHECKS: Final = {
    "rows": "rows",
    "ess": "effective sample size",
    "ess_share": "effective share of the rows",
    "predicted_ess": "effective sample size, predicted",
    "predicted_ess_share": "effective share, predicted",
    "reward_ess": "effective number of rewards",
    "failure_ess": "effective number of failures",
    "max_row_share": "largest row's share",
    "max_subject_share": "largest shopper's share",
    "mean_weight": "mean weight",
    "support": "support",
    "calibration": "propensities against draws",
    "rescoring": "incumbent scored again",
    "completeness": "completeness of outcomes",
    "activation": "activation",
    "pareto_k": "tail of the weights",
}

LEVELS: Final = {Level.OK: "fine", Level.AMBER: "read with care", Level.REFUSE: "refuses"}
NOT_MEASURED: Final = "not measured"

RULINGS: Final = {
    Ruling.GO: ("Go", "The gate's trial has the evidence that was asked for, and no check forbids it."),
    Ruling.WAIT: ("Wait", "Nothing forbids this candidate, but the evidence asked for is not there yet."),
    Ruling.REFUSE: ("Refused", "This log cannot support a claim about this candidate. No estimate is shown."),
}
UNGATED_RULING: Final = (
    "Evaluated; no gate asked",
    "The log can be read, but estimates alone never say go: an interval looked at once is no evidence to go live.",
)

NONE: Final = "\N{EN DASH}"
"""Where there is no number."""

HELP: Final = {
    "no_gate": "Run the gate's trial on this log.",
    "too_early": "Wait: a trial is read in whole weeks, since a weekly swing looks like an effect.",
    "evidence_short": "Let the trial run on; the planner says how many shoppers a given effect needs.",
    "guardrail_unproved": "Let the trial run on, or prove a rare harm in a canary, where it is measured directly.",
    "guardrail_unmeasured": "Send the harm's metric with the reward events, then open a new trial.",
    "incumbent_changed": "Propose again, against the version that is live.",
    "incumbent_rescored": "Use the model, manifest and build that logged these rows.",
    "baseline_unknown": "Open the trial after the last decision that the apprentice did not answer.",
    "reward_changed": "Open the trial after the change, so that one reward holds throughout its window.",
    "activation_filter": "Let decisions count as answered, or find out why one action is shown less often.",
    "incumbent_unsupported": "Raise the logger's floor so that everything the incumbent does is logged.",
    "bound_exceeded": "Declare bounds from floors and shares before the window, and open a new trial.",
}
"""What would help, where the reason itself does not say."""

_THOUSAND = 1000.0
_LARGEST_EXPONENT = 30.0
_SMALLEST_EXPONENT = -12.0


def clean(text: str) -> str:
    """Text from a user's file, on one line and without characters that print nothing or turn the line around."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def short(text: str, most: int = 28) -> str:
    """Clean text, its middle left out where it is longer than a picture's label may be."""
    text = clean(text)
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def number(value: float | None, digits: int = 4) -> str:
    """Significant digits; a dash where there is no number."""
    return NONE if value is None else f"{value:.{digits}g}" if abs(value) < _THOUSAND else f"{value:,.0f}"


def reward(value: float | None) -> str:
    """Four significant digits, trailing zeros too: they are digits of the estimate."""
    return NONE if value is None else f"{value:#.4g}".rstrip(".")


def ends(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval."""
    return "none" if interval is None else f"{reward(interval[0])} to {reward(interval[1])}"


def count(value: int) -> str:
    """A whole number with its thousands marked."""
    return f"{value:,}"


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a percentage."""
    return f"{share:.{digits}%}".replace("%", " %")


def moment(when: datetime | None) -> str:
    """To the minute, in UTC."""
    return NONE if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def day(when: datetime) -> str:
    """The date, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d")


def e_value(log_e: float) -> str:
    """E from ln E, as a power of ten where it is huge or tiny."""
    if _SMALLEST_EXPONENT < log_e < _LARGEST_EXPONENT:
        return number(exp(log_e), 3)
    return f"10^{log_e / log(10.0):.0f}"
