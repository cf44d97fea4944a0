"""Shoppers as a watch meets them: decisions in the order they were made, with what was known when windows closed."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import OutcomeRevision


class Visit(msgspec.Struct, frozen=True, gc=False):
    """A decision, and its outcome as known at close; None while its window is open."""

    decision: Decision
    close: OutcomeRevision | None


class Visits(Protocol):
    """Reads over the decision log and the outcome log. Decision order throughout: by id, whenever outcomes came.

    What is closed stays as it is returned, whatever is reported later. Erased decisions are not there.
    """

    def between(self, policy: PolicyName, after: DecisionId, before: datetime, limit: int) -> list[Visit]:
        """Up to `limit` decisions of a policy with a later id than `after`, made before a moment, in decision order."""
        ...

    def first(
        self, policy: PolicyName, subjects: Collection[bytes], since: datetime, defects: Collection[str] = ()
    ) -> dict[bytes, DecisionId]:
        """Each shopper's first decision since a moment; absent where there is none.

        Args:
            defects: Decisions about other defect types are not looked at; empty for all.
        """
        ...

    def following(self, first: Sequence[Decision], window: timedelta, limit: int) -> dict[DecisionId, list[Visit]]:
        """For each decision, the later ones about the same shopper and policy that were made within `window` of it.

        Args:
            first: Each names a shopper.
            limit: The first so many of each, in decision order: one who never stops must not hold up the others.
        """
        ...
