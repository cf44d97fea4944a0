"""Outcomes: a decision joined with its rewards at a stated cut of the ledger, one reward number each."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision, Situation
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ManifestSha, PolicyName


class OutcomeStanding(StrEnum):
    """Whether an outcome may be learned from, or why not.

    `unactivated`: never shown, by a caller who declares, and whom the log believes, that it discards without looking.
    `overridden`: a person chose. `held_back`: the shopper is in the arm that is left alone, where nothing is drawn.
    `abandoned`: the answer came too late for anyone to see it. `alias`: an earlier decision stands for the same
    Idempotency-Key. None of these depends on the intervention drawn, so leaving them out biases nothing.
    """

    LEARNABLE = "learnable"
    UNACTIVATED = "unactivated"
    OVERRIDDEN = "overridden"
    HELD_BACK = "held_back"
    ABANDONED = "abandoned"
    ALIAS = "alias"


class Window(msgspec.Struct, frozen=True, gc=False):
    """What of a decision its outcome is settled from, its events apart: the sequencer reads every decision of the log.

    Attributes:
        overridden: A person chose.
        arm: Of a roll-out, where the decision was made in one.
    """

    decision_id: DecisionId
    policy: PolicyName
    manifest_sha: ManifestSha
    decided_at: datetime
    closes_at: datetime
    subject: bytes | None
    intervention: InterventionId
    overridden: bool
    arm: Arm | None

    @classmethod
    def of(cls, decision: Decision) -> "Window":
        """That of a decision."""
        return cls(
            decision.decision_id,
            decision.policy,
            decision.manifest_sha,
            decision.decided_at,
            decision.closes_at,
            decision.subject,
            decision.intervention,
            decision.override_id is not None,
            None if decision.assignment is None else decision.assignment.arm,
        )


class Settlement(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A decision's reward as a pure function of its ledger events.

    Attributes:
        reward: Weighted metrics (or the default) less the intervention's cost, within the declared range.
        metrics: Each metric's aggregate over the counted events.
        counted: How many reward events counted.
        completed: False when no event arrived and the default stands.
    """

    reward: float
    metrics: dict[str, float]
    counted: int
    completed: bool


class OutcomeRevision(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of the outcome log.

    Attributes:
        position: Dense within the policy, given by the sequencer, never reordered.
        revision: 0 for the first close; a late or corrected reward appends 1, 2, …
        ledger_cut: Every ledger position up to this one was taken into account.
    """

    policy: PolicyName
    position: int
    decision_id: DecisionId
    revision: int
    settlement: Settlement
    standing: OutcomeStanding
    ledger_cut: int
    closed_at: datetime


class AsOf(msgspec.Struct, frozen=True, gc=False):
    """How a policy's log stood once: nothing that arrives later changes what is read at it, save erasure and retention.

    Attributes:
        position: The last outcome position seen; decisions closed later are not there.
        ledger_cut: Rewards and corrections sequenced up to this ledger position are taken into account, later ones not.
    """

    position: int
    ledger_cut: int


class OutcomeMark(msgspec.Struct, frozen=True, gc=False):
    """What was known when an outcome position was written; outlives the erasure of the outcome itself."""

    position: int
    ledger_cut: int
    closed_at: datetime


class LoggedOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A decision's first close as a replay reads it, at a stated cut.

    Attributes:
        completed: Whether an event had arrived by the cut, or the default stands.
        activated: Whether the decision was shown before its window closed; what is noted later does not count.
    """

    position: int
    decision: Decision
    reward: float
    completed: bool
    standing: OutcomeStanding
    activated: bool


class Lesson(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a model learns from one outcome, and no more: a learner reads many of them, again and again.

    Attributes:
        reward: As known at a stated cut.
    """

    position: int
    decision_id: DecisionId
    manifest_sha: ManifestSha
    situation: Situation
    intervention: InterventionId
    propensity: float
    reward: float


class TrainingRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A decision's first close with its reward as known at a stated cut."""

    position: int
    decision: Decision
    reward: float

    @property
    def lesson(self) -> Lesson:
        """What is learned from it."""
        decision = self.decision
        return Lesson(
            position=self.position,
            decision_id=decision.decision_id,
            manifest_sha=decision.manifest_sha,
            situation=decision.situation,
            intervention=decision.intervention,
            propensity=decision.propensity,
            reward=self.reward,
        )
