"""What attribution reads and writes: events that name shoppers and orders, and the decisions they may go to."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from cxi_bandit.domain.attribution import Candidate, Credit
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.reward import RewardEvent, RewardKey


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """A shopper, as keyed HMAC, seen at a moment."""

    subject: bytes
    at: datetime


class Addresses(Protocol):
    """Reading. An event is *addressed* when it names a shopper or an order; events that name neither are never here."""

    def decisions_of(self, sightings: Collection[Sighting], most: int) -> dict[Sighting, list[Candidate]]:
        """The shopper's decisions whose windows hold the moment, the latest `most`; absent where there are none.

        Those set aside are left out: nobody saw them, or another stands for them.
        """
        ...

    def candidates(self, decisions: Collection[DecisionId]) -> dict[DecisionId, Candidate]:
        """Those of `decisions` that are in the log."""
        ...

    def naming_shoppers(self, spans: Mapping[bytes, tuple[datetime, datetime]]) -> list[RewardEvent]:
        """What was reported of each shopper to have occurred within its span, both ends included; no amendments."""
        ...

    def naming_orders(self, most: Mapping[bytes, int]) -> dict[bytes, list[RewardEvent]]:
        """What was reported of each order, whatever else it names; no amendments.

        Args:
            most: By order; one of which more was reported is absent, as one is of which nothing was.
        """
        ...

    def linking(self, decisions: Collection[DecisionId]) -> list[RewardEvent]:
        """What was reported of these decisions with an order beside; no amendments."""
        ...

    def amended(self, rewards: Collection[RewardKey]) -> list[RewardEvent]:
        """The addressed ones of these events, of those they amend, and so on upwards past those without decision."""
        ...

    def amendments(self, rewards: Collection[RewardKey]) -> list[RewardEvent]:
        """Amendments without decision of these events, the amendments of those, and so on downwards."""
        ...


class Crediting(Addresses, Protocol):
    """Reading what is sequenced, and writing credits, within a sequencer's pass."""

    def credits(self, rewards: Collection[RewardKey]) -> dict[RewardKey, dict[DecisionId, int]]:
        """Who has these events now, by parts; absent where nobody has."""
        ...

    def credit(self, changes: Sequence[Credit]) -> None:
        """Appends what changes, each event's changes together at the next dense ledger position, in order."""
        ...
