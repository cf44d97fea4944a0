"""Outcomes: a decision joined with its rewards at a stated cut of the ledger, one reward number each."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName


class OutcomeStanding(StrEnum):
    """Whether an outcome may be learned from."""

    LEARNABLE = "learnable"
    UNACTIVATED = "unactivated"
    OVERRIDDEN = "overridden"


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


class TrainingRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A decision's first close with its reward as known at a stated cut: what is learned, in position order."""

    position: int
    decision: Decision
    reward: float
