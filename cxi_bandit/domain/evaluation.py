"""The evaluation report: what a replay found about a candidate policy, typed, and the same in JSON."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import Reason, Verdict


class Level(StrEnum):
    """How far a diagnostic can be trusted."""

    OK = "ok"
    AMBER = "amber"
    REFUSE = "refuse"


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One estimate of the candidate's mean reward, never to be shown without its interval's name and assumptions.

    Attributes:
        value: In reward units; None where the estimate does not exist on this log.
        interval: (lo, hi), or None where the data allow none.
        interval_method: Name of the interval.
        confidence: Nominal coverage, such as 0.95.
        target: What the interval is about: the candidate's value, or something biased.
        assumptions: What must be true for the coverage to hold.
    """

    value: float | None
    interval: tuple[float, float] | None
    interval_method: str
    confidence: float
    target: str
    assumptions: str

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence < 1.0:
            raise InvalidInput("/confidence", f"must be between 0 and 1; got {self.confidence}")
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise InvalidInput("/interval", f"must not run backwards; got {self.interval}")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A diagnostic held against its thresholds.

    Attributes:
        code: Stable name, for machines.
        value: What was measured; None where this log cannot tell.
        message: What was found, in a sentence.
        remedy: What would help, in a sentence; empty when the level is ok.
    """

    code: str
    value: float | None
    level: Level
    message: str
    remedy: str = ""


class Diagnostics(msgspec.Struct, frozen=True, kw_only=True):
    """What must be read before any estimate. None where the log does not hold what a number needs.

    Attributes:
        n: Rows.
        subjects: Distinct shoppers.
        ess: Effective sample size (Σw)²/Σw².
        predicted_ess: n / mean(Σ_a π_e²/p), from the logged vectors alone.
        reward_ess: (Σwr)²/Σ(wr)².
        failure_ess: The same of what rewards lack of the highest declared one.
        mean_weight: w̄, which should be 1.
        mean_weight_z: (w̄ - 1) in standard errors.
        max_weight: Largest w.
        max_row_share: Largest row's share of Σ|w(r - q̂)|.
        max_subject_share: Largest shopper's share of it.
        unsupported_mass: Mean mass the candidate puts where the log could not go.
        calibration_p: Smallest p-value of drawn against logged frequencies, over actions, Bonferroni-corrected.
        rescoring_gap: Largest difference between the logged vectors and the incumbent scored again.
        completeness_gap: Largest difference in outcome completeness between an action and all actions of the same age.
        activation_gap: The same for the activation rate.
        pareto_k: Shape of the tail of w.
        checks: All of it against thresholds.
    """

    n: int
    subjects: int | None = None
    ess: float | None = None
    predicted_ess: float | None = None
    reward_ess: float | None = None
    failure_ess: float | None = None
    mean_weight: float | None = None
    mean_weight_z: float | None = None
    max_weight: float | None = None
    max_row_share: float | None = None
    max_subject_share: float | None = None
    unsupported_mass: float | None = None
    calibration_p: float | None = None
    rescoring_gap: float | None = None
    completeness_gap: float | None = None
    activation_gap: float | None = None
    pareto_k: float | None = None
    checks: tuple[Check, ...] = ()

    @property
    def level(self) -> Level:
        """The worst level of any check."""
        levels = {check.level for check in self.checks}
        return Level.REFUSE if Level.REFUSE in levels else Level.AMBER if Level.AMBER in levels else Level.OK

    def reasons(self, level: Level) -> tuple[Reason, ...]:
        """The checks at `level`, as reasons for a verdict."""
        return tuple(Reason(c.code, f"{c.message} {c.remedy}".strip()) for c in self.checks if c.level is level)


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What to hold in hand to compute the report again.

    Attributes:
        log_from: Time of the first decision, aware.
        log_to: Time of the last decision, aware.
        manifest_sha: SHA-256 of the candidate's manifest, where it has one.
        model_sha: SHA-256 of the candidate's model bytes, where it has some.
        seed: Of folds and resampling.
        code_version: Version of this package.
    """

    log_from: datetime | None
    log_to: datetime | None
    manifest_sha: str | None
    model_sha: str | None
    seed: int
    code_version: str


class EvidencePoint(msgspec.Struct, frozen=True):
    """Where a trial's evidence stood at one moment of log time; only whole weeks count towards a go.

    Attributes:
        until: Units first exposed before this moment were bet on, aware.
        units: How many those were.
        log_e: ln E.
    """

    until: datetime
    units: int
    log_e: float


class GuardrailStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that a harm grows by less than `margin`, a share of its range; `log_e` is ln E."""

    metric: str
    margin: float
    log_e: float
    passed: bool


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's trial behind a verdict: what was declared, what was heard, and how the evidence grew.

    Attributes:
        proposal: Its line on the policy's alpha ledger.
        ordinal: j, the proposal's number.
        candidates: k, tried on the same rows.
        alpha: alpha_j.
        log_threshold: ln(k/alpha_j), which ln E must reach.
        incumbent: The version it was tried against.
        opened_at: Start of the window; nothing that either policy has learned lies in it.
        heard_until: End of the last whole week that was bet on; None while there is none.
        days: Days of log time bet on.
        units: Bets placed, one a shopper.
        anonymous: How many of them were rows without a shopper.
        latecomers: Units that turned up after their week was bet on, and were left out.
        clipped: Values outside their declared range that entered clipped, in the last sitting.
        path: ln E day by day.
    """

    proposal: str
    ordinal: int
    candidates: int
    alpha: float
    log_threshold: float
    incumbent: str
    opened_at: datetime
    heard_until: datetime | None
    days: int
    units: int
    anonymous: int
    latecomers: int
    clipped: int
    log_e: float
    guardrails: tuple[GuardrailStanding, ...]
    path: tuple[EvidencePoint, ...]


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The typed result of a replay: evidence for exactly one candidate on one log.

    Attributes:
        log: What was replayed.
        candidate: What was evaluated.
        headline: The estimate to read first; the others stand beside it.
        estimates: By name.
        trial: The gate's trial, where one was asked for.
        defects: The defect types whose decisions it is about; empty for all.
    """

    log: str
    candidate: str
    headline: str
    estimates: dict[str, Estimate]
    diagnostics: Diagnostics
    verdict: Verdict
    provenance: Provenance
    trial: TrialRecord | None = None
    defects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.headline not in self.estimates:
            raise InvalidInput("/headline", f"must be one of {', '.join(self.estimates)}; got {self.headline}")
