"""Searches of the decision log: what is looked for, and a page of what was found."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import PAST_ALL, DecisionId, InterventionId, PolicyName, lowest_id_at
from cxi_bandit.domain.outcome import OutcomeStanding

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Wanted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Which decisions are looked for; what is left out, all of them.

    Attributes:
        since: Decided then or later, to the millisecond.
        until: Decided earlier.
        subject: The shopper's pseudonym.
    """

    since: datetime | None = None
    until: datetime | None = None
    subject: bytes | None = None
    surface: str | None = None
    policy: PolicyName | None = None
    intervention: InterventionId | None = None

    def between(self, before: DecisionId | None) -> tuple[DecisionId, DecisionId]:
        """The range of ids to look in, the second one excluded: what is wanted of it, and earlier than `before`."""
        since = lowest_id_at(max(self.since or _EPOCH, _EPOCH))
        until = PAST_ALL if self.until is None else lowest_id_at(max(self.until, _EPOCH))
        return since, until if before is None else min(until, before)

    def fits(self, decision: Decision) -> bool:
        """Whether a decision is looked for, its time apart."""
        return (
            self.subject in (None, decision.subject)
            and self.surface in (None, decision.surface)
            and self.policy in (None, decision.policy)
            and self.intervention in (None, decision.intervention)
        )


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what was found.

    Attributes:
        decisions: Newest first. Fewer than asked for, even none, where the search has looked at its bound of rows.
        before: From where the search goes on; None where it has come to the end.
    """

    decisions: list[Decision]
    before: DecisionId | None


class SetAsides(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the decisions that were set aside, each with why: `abandoned` or `alias`.

    Attributes:
        decisions: Newest first; as with `Found`, perhaps fewer than asked for.
        before: From where it goes on; None at the end.
    """

    decisions: list[tuple[DecisionId, OutcomeStanding]]
    before: DecisionId | None
