"""Tallies: what an overview shows, counted once and kept, so that showing it reads no log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.tallies import ArmTally, DrawnTally, Stretches, TallyProgress


class Tallies(Protocol):
    """Counts of decisions by the time they were made, and of how they ended. Every call is one transaction.

    Decisions are counted twice over: as they come, by their ids, and as their windows close, by outcome position. The
    second misses nothing, whatever commits how late; the first shows what is still open, and may miss what reached the
    log after its turn. A count is the greater of the two, so once all windows of a stretch are closed it is exact:
    equal to one made from the log there and then.

    Erasing a decision takes it out of the counts in the erasure's transaction. What retention drops stays counted.
    """

    def count_decided(self, before: datetime, minutes_since: datetime, limit: int) -> int:
        """Counts up to `limit` decisions made before a moment, in decision order; how many, 0 when none is left.

        Returns 0 too when somebody else is counting now.

        Args:
            minutes_since: What was decided before is counted by hour and day only.
        """
        ...

    def count_closed(self, policy: PolicyName, minutes_since: datetime, limit: int) -> int:
        """Counts the next `limit` outcome positions of a policy, closes and revisions; how many, as above."""
        ...

    def forget_minutes(self, before: datetime) -> None:
        """Forgets what was counted by minute before a moment. Hours and days stay."""
        ...

    def recount(self) -> None:
        """Begins again from the log: what is in it is uncounted, and counted by the next calls.

        Whole days that retention has dropped keep their counts, as nothing is left to count them from.
        """
        ...

    def drawn(
        self, policies: Sequence[PolicyName], stretches: Sequence[Stretches]
    ) -> dict[PolicyName, list[DrawnTally]]:
        """What was drawn of decisions made in those stretches, in their order, by time and intervention."""
        ...

    def by_arm(
        self, policies: Sequence[PolicyName], stretches: Sequence[Stretches]
    ) -> dict[PolicyName, list[ArmTally]]:
        """How decisions made in those stretches ended, in their order, by time, version and arm."""
        ...

    def progress(self, policies: Sequence[PolicyName]) -> dict[PolicyName, TallyProgress]:
        """How far the tallies of these policies have come, in one cheap read."""
        ...
