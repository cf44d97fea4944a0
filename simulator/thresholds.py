"""When a diagnostic turns amber and when it refuses: the numbers, the words and the remedies, as data."""

from dataclasses import dataclass
from math import isnan

from cxi_bandit.domain.evaluation import Check, Level


@dataclass(frozen=True)
class Threshold:
    """Limits of one diagnostic.

    Args:
        code: Stable name.
        amber: Limit beyond which the value is amber; None never.
        refuse: Limit beyond which the value refuses; None never.
        low_is_bad: Whether falling below the limits is what counts, rather than rising above them.
        label: What the value is, in words, with a format field `{value}`.
        remedy: What would help.
    """

    code: str
    amber: float | None
    refuse: float | None
    low_is_bad: bool
    label: str
    remedy: str

    def level(self, value: float) -> Level:
        """Where `value` stands."""
        if self._beyond(value, self.refuse):
            return Level.REFUSE
        return Level.AMBER if self._beyond(value, self.amber) else Level.OK

    def check(self, value: float | None, level: Level | None = None) -> Check:
        """The finding at `value`, or, with None or nan, that this log cannot tell; `level` overrules the limits."""
        if value is None or isnan(value):
            return Check(
                code=self.code, value=None, level=level or Level.OK, message=f"{self.code}: not measurable here."
            )
        level = level or self.level(value)
        message = self.label.format(value=value)
        return Check(
            code=self.code,
            value=value,
            level=level,
            message=message,
            remedy="" if level is Level.OK else self.remedy,
        )

    def _beyond(self, value: float, limit: float | None) -> bool:
        if limit is None:
            return False
        return value < limit if self.low_is_bad else value > limit


# A difference between the outcome or activation rates of actions that matters, if it is not chance.
RATE_GAP = 0.01

_MORE_OVERLAP = "Log more rounds, raise the logger's floor, or evaluate a candidate nearer to it."

THRESHOLDS: dict[str, Threshold] = {
    t.code: t
    for t in (
        Threshold(
            "rows", None, 1, True, "{value:.0f} rows were logged.", "There is nothing to evaluate: check the range."
        ),
        Threshold("ess", None, 200, True, "Effective sample size {value:.1f}.", _MORE_OVERLAP),
        Threshold("ess_share", 0.10, None, True, "Effective sample size is {value:.2%} of the rows.", _MORE_OVERLAP),
        Threshold(
            "predicted_ess",
            None,
            200,
            True,
            "Logged vectors predict an effective sample of {value:.1f}.",
            _MORE_OVERLAP,
        ),
        Threshold(
            "predicted_ess_share",
            0.10,
            None,
            True,
            "Logged vectors predict an effective sample of {value:.2%} of the rows.",
            _MORE_OVERLAP,
        ),
        Threshold(
            "reward_ess",
            100,
            30,
            True,
            "The estimate rests on the equivalent of {value:.1f} rewards.",
            "Log until more rewarded rounds match the candidate, or evaluate a less rare metric.",
        ),
        Threshold(
            "failure_ess",
            100,
            30,
            True,
            "The estimate rests on the equivalent of {value:.1f} failures, rewards short of the highest.",
            "Log until more rounds that failed match the candidate, or evaluate a metric that fails less rarely.",
        ),
        Threshold(
            "max_row_share",
            0.05,
            0.20,
            False,
            "One row carries {value:.1%} of the correction.",
            "Log more rounds, raise the logger's floor, or fit a better reward model.",
        ),
        Threshold(
            "max_subject_share",
            0.05,
            0.20,
            False,
            "One shopper carries {value:.1%} of the correction.",
            "Cap the decisions taken per shopper, or look for a bot.",
        ),
        Threshold(
            "mean_weight",
            None,
            None,
            False,
            "Importance weights average {value:.4f}; 1 is expected.",
            "Check that the logged propensities are those really drawn from, and that the candidate has support.",
        ),
        Threshold(
            "support",
            0.0,
            0.01,
            False,
            "The candidate puts {value:.3%} of its mass where the log could not go.",
            "Restrict the candidate to what was eligible, or read bounds instead; use no control variate.",
        ),
        Threshold(
            "calibration",
            0.01,
            1e-3,
            True,
            "Drawn actions fit their logged propensities with p = {value:.2g}.",
            "Find out what acts after the logged draw: an override, a cap, a filter or lost rows.",
        ),
        Threshold(
            "rescoring",
            0.0,
            1e-6,
            False,
            "The incumbent scored again differs from its log by {value:.2g}.",
            "Use the model, manifest and build that logged these rows.",
        ),
        Threshold(
            "completeness",
            RATE_GAP,
            None,
            False,
            "Outcome completeness differs by {value:.1%} between an action and its peers of the same age.",
            "Where senders report only good news this is the effect itself; else find the sender that loses rewards.",
        ),
        Threshold(
            "activation",
            RATE_GAP,
            None,
            False,
            "Activation differs by {value:.1%} between an action and its peers of the same age.",
            "Analyse decisions as answered; find out why one action is shown less often.",
        ),
        Threshold(
            "pareto_k",
            0.7,
            None,
            False,
            "The tail of the weights has Pareto shape {value:.2f}.",
            "Read it beside the other diagnostics: it misfires on discrete weights in both directions.",
        ),
    )
}

# Two limits on w̄ that need two numbers each: |z| alone is amber, and a refusal needs a gap that is also significant.
MEAN_WEIGHT_AMBER_Z = 2.0
MEAN_WEIGHT_REFUSE_Z = 3.0
MEAN_WEIGHT_REFUSE_GAP = 0.1
