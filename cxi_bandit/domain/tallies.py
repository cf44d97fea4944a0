"""Tallies: decisions and their ends counted by stretches of time, so that nobody need read the log for a picture."""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.outcome import OutcomeStanding

JUDGED = frozenset({OutcomeStanding.LEARNABLE, OutcomeStanding.UNACTIVATED, OutcomeStanding.HELD_BACK})
"""Closed decisions whose reward counts in a comparison of arms.

Who is left alone is never asked whether it was shown, so where an arm is compared with those, what was not shown counts
too. What a person chose, nobody could see, or another stands for, counts in no arm.
"""


class Span(StrEnum):
    """The stretches of time, in UTC, by which is counted."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


def start_of(span: Span, moment: datetime) -> datetime:
    """When the stretch began that a moment lies in, in UTC."""
    at = moment.astimezone(UTC)
    if span is Span.MINUTE:
        return at.replace(second=0, microsecond=0)
    if span is Span.HOUR:
        return at.replace(minute=0, second=0, microsecond=0)
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


class Stretches(msgspec.Struct, frozen=True):
    """Which stretches of time are asked for: those of one length that start in [since, until).

    Attributes:
        until: None for all since.
    """

    span: Span
    since: datetime
    until: datetime | None = None


class DrawnTally(msgspec.Struct, frozen=True, kw_only=True):
    """What was drawn of one intervention, over all versions and arms.

    Attributes:
        decided: Decisions that drew it.
        expected: Sum of the logged probabilities of drawing it, of all decisions where it was eligible.
    """

    span: Span
    starts_at: datetime
    intervention: InterventionId
    decided: int
    expected: float


class ArmTally(msgspec.Struct, frozen=True, kw_only=True):
    """How decisions of one version in one arm ended.

    Attributes:
        decided: Decisions made, as far as is known.
        closed: Those whose attribution window is closed.
        judged: Closed ones whose reward counts; see `JUDGED`.
        reward: Sum of their rewards as known now.
        squares: Sum of the rewards' squares.
    """

    span: Span
    starts_at: datetime
    policy_version: int
    arm: Arm
    decided: int
    closed: int
    judged: int
    reward: float
    squares: float

    @property
    def settled(self) -> bool:
        """Whether every window is closed: before, those that a reward closed early would be over-represented."""
        return self.closed >= self.decided


class TallyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a policy's tallies have come.

    Attributes:
        decided_until: Decisions made before are counted as they came.
        position: The last outcome position counted.
        head: The last outcome position there is.
    """

    decided_until: datetime
    position: int
    head: int


def arm_of(decision: Decision) -> Arm:
    """The arm a decision counts in."""
    return Arm.LIVE if decision.assignment is None else decision.assignment.arm
