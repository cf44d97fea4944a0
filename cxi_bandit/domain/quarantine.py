"""Quarantined rewards: events that are kept and not counted, and what an operator made of them."""

from enum import StrEnum

import msgspec

from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.reward import LedgerEntry

OPERATOR_PREFIX = "quarantine/"
"""Ids of the amendments that operators make begin with it; senders' ids may not."""


class QuarantineState(StrEnum):
    """What became of a quarantined event. Its sender may mend it as well, by an amendment of its own."""

    OPEN = "open"
    RELEASED = "released"
    DISCARDED = "discarded"


class Verb(StrEnum):
    """What an operator may say of a quarantined event."""

    RELEASE = "release"
    DISCARD = "discard"


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A quarantined event with what it is judged by today.

    Attributes:
        number: In order of receipt.
        policy: The decision's; None where the decision is gone.
        declared: Whether the decision's manifest declares the metric; only then may it be released.
        counts_as: The value that stands for it; None unless it was released.
    """

    number: int
    policy: PolicyName | None
    entry: LedgerEntry
    state: QuarantineState
    declared: bool
    counts_as: float | None


class QuarantinePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the quarantine.

    Attributes:
        rewards: In order of receipt. Fewer than asked for, even none, where the bound of rows was reached.
        after: The number from which it goes on; None at the end.
    """

    rewards: list[Quarantined]
    after: int | None


class Amended(msgspec.Struct, frozen=True, kw_only=True):
    """What a release or a discard did.

    Attributes:
        unchanged: Rewards of which the very same had been said before.
        refused: Why others were left as they are: of those it can never be said.
        rebuilds: Requests for the rebuilds that will learn what was amended after its window had closed.
    """

    amended: list[LedgerEntry]
    unchanged: int
    refused: list[InvalidInput | NotFound]
    rebuilds: list[int]
