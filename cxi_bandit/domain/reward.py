"""Reward events: what senders report about decisions, as appended to the ledger and never changed."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source

RewardKey = tuple[Source, RewardId]
"""How a sender identifies an event, for ever."""


class RewardEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One observation about a decision, identified by its sender as (source, reward_id).

    It names the decision, or the shopper, or nothing but an order; an order beside the one or the other ties the two
    together, so that later events may name the order alone.

    Attributes:
        subject: Keyed HMAC of the shopper, as a decision has it.
        order: Keyed HMAC of the order's number.
        value: The new value; None exactly when the event retracts another.
        occurred_at: When it happened, by the sender's clock; the attribution window is judged by it.
        corrects: The reward whose value this event replaces.
        retracts: The reward this event takes back.
    """

    source: Source
    reward_id: RewardId
    decision_id: DecisionId | None = None
    subject: bytes | None = None
    order: bytes | None = None
    metric: str
    value: float | None
    occurred_at: datetime
    corrects: RewardId | None = None
    retracts: RewardId | None = None

    @property
    def key(self) -> RewardKey:
        """What identifies it."""
        return self.source, self.reward_id

    @property
    def amends(self) -> RewardKey | None:
        """The event it corrects or retracts, always one of the same source; None when it reports something new."""
        target = self.corrects or self.retracts
        return None if target is None else (self.source, target)

    @property
    def links(self) -> bool:
        """Whether it ties an order to decisions: it reports something new of which it knows more than the order."""
        return (
            self.order is not None
            and self.amends is None
            and (self.decision_id is not None or self.subject is not None)
        )


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
        position: Dense ledger position, given by the sequencer; None until it has been sequenced. Among a decision's
            entries, that from which on the decision has the event.
        quarantined: Why the event is kept but not counted; None when it counts.
        parts: Among a decision's entries: the event's value is divided into so many equal parts, and this decision has
            one of them. Always 1 for an event that names its decision.
    """

    event: RewardEvent
    received_at: datetime
    position: int | None = None
    quarantined: str | None = None
    parts: int = 1
