"""What keeps a policy within its budgets and a shopper within the caps, whoever decides at the same time."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, PolicyName
from cxi_bandit.policy.budgets import Amount, Line
from cxi_bandit.policy.caps import Caps


class LeaseRequest(msgspec.Struct, frozen=True):
    """So many units of a line's day are asked for; a lease may be smaller, or none.

    Attributes:
        held: Units that whoever asks has left of an earlier lease.
    """

    policy: PolicyName
    arm: Arm
    day: date
    line: Line
    units: int
    held: int = 0


class Unspent(msgspec.Struct, frozen=True):
    """Units of a lease that were not spent and never will be."""

    policy: PolicyName
    arm: Arm
    day: date
    name: InterventionId
    unit: Amount
    units: int


class Budgets(Protocol):
    """What of each day's budgets is out on lease, spent or not.

    Whoever holds a lease may spend it without asking again. However many ask at once, all leases of an arm together
    stay within the line's part, and those of all arms within its whole, less what was given back. Durable when a call
    returns; a lease whose answer got lost is spent on nothing.
    """

    def lease(self, asked: Sequence[LeaseRequest]) -> list[int]:
        """The units leased for each. Not to be repeated on failure: what was leased then is lost.

        Raises:
            Unavailable: The store is away.
        """
        ...

    def give_back(self, unspent: Sequence[Unspent]) -> None:
        """Takes units off what is out. Never to be repeated: twice given back would be spent twice.

        Raises:
            Unavailable: The store is away; the units may be lost.
        """
        ...

    def leased(self, policy: PolicyName, day: date) -> dict[tuple[InterventionId, Arm], Amount]:
        """What is out or spent of a day, by line and arm."""
        ...

    def prune(self, before: date) -> None:
        """Forgets earlier days."""
        ...


class PermitRequest(msgspec.Struct, frozen=True):
    """A decision is about to be made for a shopper.

    Attributes:
        subject: The shopper's pseudonym.
        at: The decision's time.
        wanted: What it might draw that some cap is about.
        keep: Whether a permit is taken; a dry run only looks.
    """

    decision_id: DecisionId
    policy: PolicyName
    subject: bytes
    at: datetime
    caps: Caps
    wanted: frozenset[InterventionId]
    keep: bool = True


class Permits(Protocol):
    """Who may get a capped intervention, whoever asks at the same time.

    What a shopper had is what the decision log says. A permit that is out counts as a use of everything that may be
    drawn under it, until its decision is in the log, or it is released, or the caps do not look back so far any more.
    Of two requests for one shopper one is answered first, and the other one knows of its permit.
    """

    def take(self, asked: Sequence[PermitRequest]) -> list[dict[InterventionId, str]]:
        """For each what it may not draw, with the rule's words; a permit is out for whatever else is wanted.

        Safe to repeat. Answered in order, so that of several for one shopper the later ones know of the earlier.

        Raises:
            Unavailable: The store is away; permits may be out.
        """
        ...

    def release(self, decisions: Sequence[DecisionId]) -> None:
        """Takes permits back: the decisions are in the log, or never will be. Safe to repeat."""
        ...

    def forget_shopper(self, subject: bytes, until: datetime) -> dict[str, int]:
        """Removes the permits of a shopper for decisions made until a moment; how many rows, by table."""
        ...

    def prune(self, now: datetime) -> None:
        """Removes the permits that count for nothing any more: because of their age, or their decision is in the log.

        Whoever took them ended before it could release them.
        """
        ...
