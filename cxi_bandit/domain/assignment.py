"""Assignment: which arm a decision's shopper is in, and what the others would have done. Logged with the decision."""

from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import InterventionId, ModelVersion


class Arm(StrEnum):
    """Which group a shopper is in: by salted hash of the shopper, so it is the same at every visit."""

    LIVE = "live"
    CANARY = "canary"
    PREVIOUS = "previous"
    HOLD = "hold"


class Beside(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What another version of the policy would have drawn from, in the same situation.

    Attributes:
        place: The arm it answers for, or `shadow` when it answers nobody.
        eligible: Its eligible set in canonical order; None where it is the decision's own.
        probabilities: The exact float64 vector, in that order.
    """

    place: str
    policy_version: int
    model_version: ModelVersion | None
    probabilities: tuple[float, ...]
    eligible: tuple[InterventionId, ...] | None = None


class Assignment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How a decision's version was chosen among those of a roll-out.

    Attributes:
        revision: Of the roll-out.
        share: rho of the arm, in (0, 1]: the probability with which the shopper's hash falls into it, all arms counted.
        salt: Of the arm's split; empty for the live arm, which has none of its own.
        beside: The vectors of those who did not answer.
        baseline: The caller's own choice that an apprentice imitated.
    """

    revision: int
    arm: Arm
    share: float
    salt: str = ""
    beside: tuple[Beside, ...] = ()
    baseline: InterventionId | None = None
