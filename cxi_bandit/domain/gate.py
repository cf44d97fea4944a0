"""The gate's rule and its verdict: what must be shown before a policy goes live, and what was found."""

import math
from enum import StrEnum

import msgspec

from cxi_bandit.domain.errors import CxiBanditError, InvalidInput

_LEAST_DAYS = 7


class BetUnit(StrEnum):
    """What one bet is placed on. Never the row: a shopper's decisions share that shopper's tastes."""

    FIRST_DECISION = "first_decision"
    SHOPPER_WINDOW = "shopper_window"


class Guardrail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A harm that may grow by less than `margin`, or there is no go.

    Attributes:
        metric: The harm's name; more of it is worse.
        margin: Non-inferiority margin m > 0, on the harm scaled to [0, 1] by its range. There is no default: with m = 0
            no amount of data proves a harmless policy harmless.
        low: Least value of the harm, in its own unit.
        high: Greatest value of the harm, in its own unit.
    """

    metric: str
    margin: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        pointer = f"/guardrails/{self.metric}"
        if not self.metric:
            raise InvalidInput("/guardrails/metric", "a guardrail names the harm it watches")
        if not 0.0 < self.margin < 1.0:
            raise InvalidInput(
                f"{pointer}/margin", f"must be in (0, 1), a share of the harm's range; got {self.margin}"
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InvalidInput(f"{pointer}/low", f"needs finite low < high; got {self.low} and {self.high}")


class GateRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a promotion must show, declared before the window opens.

    Attributes:
        alpha: Probability of ever letting a policy live that is no better, summed over all its proposals; in (0, 0.5).
        minimum_improvement: δ ≥ 0, by how much the candidate must beat the incumbent, on the reward scaled to [0, 1].
        weight_cap: G > 1, the largest importance weight of the candidate; larger ones are clipped.
        minimum_days: Days of log time before the first look that can say go; at least 7, used in whole weeks.
        unit: What one bet is placed on.
        window_days: Days from a shopper's first exposure that a `shopper_window` bet sums over; 0 for `first_decision`.
        decisions_per_unit: How many of a shopper's decisions a bet takes in, the first ones; 1 for `first_decision`.
        guardrails: Harms that must all be shown not to grow.
    """

    alpha: float = 0.05
    minimum_improvement: float = 0.0
    weight_cap: float = 20.0
    minimum_days: int = _LEAST_DAYS
    unit: BetUnit = BetUnit.FIRST_DECISION
    window_days: float = 0.0
    decisions_per_unit: int = 1
    guardrails: tuple[Guardrail, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 0.5:  # noqa: PLR2004 - half is a coin
            raise InvalidInput("/alpha", f"must be in (0, 0.5); got {self.alpha}")
        if not 0.0 <= self.minimum_improvement < 1.0:
            raise InvalidInput(
                "/minimum_improvement",
                f"must be in [0, 1), a share of the reward's range; got {self.minimum_improvement}",
            )
        if not (self.weight_cap > 1.0 and math.isfinite(self.weight_cap)):
            raise InvalidInput("/weight_cap", f"must be finite and above 1; got {self.weight_cap}")
        if self.minimum_days < _LEAST_DAYS:
            raise InvalidInput("/minimum_days", f"must be at least 7, a whole week; got {self.minimum_days}")
        names = [guardrail.metric for guardrail in self.guardrails]
        if len(set(names)) != len(names):
            raise InvalidInput("/guardrails", f"each harm is guarded once; got {', '.join(names)}")
        self._check_unit()

    def _check_unit(self) -> None:
        if self.unit is BetUnit.FIRST_DECISION:
            if self.decisions_per_unit != 1:
                raise InvalidInput(
                    "/decisions_per_unit", f"must be 1 for first_decision; got {self.decisions_per_unit}"
                )
            if self.window_days != 0.0:
                raise InvalidInput("/window_days", f"must be 0 for first_decision; got {self.window_days}")
            return
        if self.decisions_per_unit < 1:
            raise InvalidInput("/decisions_per_unit", f"must be at least 1; got {self.decisions_per_unit}")
        if not (self.window_days > 0.0 and math.isfinite(self.window_days)):
            raise InvalidInput("/window_days", f"must be finite and above 0 for shopper_window; got {self.window_days}")


class Ruling(StrEnum):
    """What the gate says."""

    GO = "go"
    WAIT = "wait"
    REFUSE = "refuse"


class Reason(msgspec.Struct, frozen=True):
    """Why: a stable code for machines, a sentence for people."""

    code: str
    message: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's answer about one proposal.

    Attributes:
        incumbent: The incumbent version it was reached against; with another one live, the verdict has expired.
    """

    decision: Ruling
    reasons: tuple[Reason, ...]
    incumbent: str = ""

    def against(self, incumbent: str) -> "Verdict":
        """This verdict while `incumbent` is live: itself, or a refusal because it was reached against another one."""
        if incumbent == self.incumbent:
            return self
        return Verdict(
            decision=Ruling.REFUSE, reasons=(incumbent_changed(self.incumbent, incumbent),), incumbent=self.incumbent
        )


def incumbent_changed(tried: str, live: str) -> Reason:
    """Why a verdict reached against `tried` is void while `live` is live."""
    return Reason("incumbent_changed", f"tried against {tried}, but {live} is live: propose again against that one")


class RefusedByGate(CxiBanditError):
    """There is no go, or none any more: nothing was put before a shopper.

    Attributes:
        decision: `wait` where more data may help, `refuse` where they will not.
        reasons: All of them.
    """

    def __init__(self, decision: Ruling, reasons: tuple[Reason, ...]) -> None:
        super().__init__("; ".join(reason.message for reason in reasons))
        self.decision = decision
        self.reasons = reasons
