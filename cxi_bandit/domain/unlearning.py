"""Unlearnings: which outcomes models must leave out, although they are true records of what was reported."""

from datetime import datetime

import msgspec

from cxi_bandit.domain.identifiers import PolicyName, Source


class Unlearning(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A rule by which outcomes are left out of what is learned; the rows themselves stay as they are.

    With a source: outcomes about which that source reported an event that occurred in the range and was not
    quarantined, from the ledger position on at which the event became known. Without one: outcomes decided in it.

    Attributes:
        number: Counts the policy's unlearnings; None until it stands in the log.
        since: Start of the range, inclusive.
        until: End of the range, exclusive.
    """

    policy: PolicyName
    source: Source | None
    since: datetime
    until: datetime
    asked_at: datetime
    number: int | None = None
