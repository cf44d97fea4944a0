"""Reward events: what senders report about decisions, as appended to the ledger and never changed."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source


class RewardEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One observation about a decision, identified by its sender as (source, reward_id).

    Attributes:
        value: The new value; None exactly when the event retracts another.
        occurred_at: When it happened, by the sender's clock; the attribution window is judged by it.
        corrects: The reward whose value this event replaces.
        retracts: The reward this event takes back.
    """

    source: Source
    reward_id: RewardId
    decision_id: DecisionId
    metric: str
    value: float | None
    occurred_at: datetime
    corrects: RewardId | None = None
    retracts: RewardId | None = None


class RewardStatus(StrEnum):
    """What became of one delivered event. Only `accepted`, `parked` and `quarantined` append to the ledger."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    PARKED = "parked"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"


class LedgerEntry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A reward event as the ledger holds it: when we knew of it beside when it happened.

    Attributes:
        position: Dense ledger position, given by the sequencer; None until it has been sequenced.
        quarantined: Why the event is kept but not counted; None when it counts.
    """

    event: RewardEvent
    received_at: datetime
    position: int | None = None
    quarantined: str | None = None
