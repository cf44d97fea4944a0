"""What a watch reads: decisions in their own order behind the watermark, and which of them is a shopper's first.

The order in which outcomes came would show the wins of whatever is merely faster first. A watch therefore stops at the
first decision that it needs and that is not closed yet, and goes on from there.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.tallies import Span, start_of
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Visit, Visits
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.settlement import worth

BATCH: Final = 500
DAY: Final = timedelta(days=1)
_UNSEEN: Final = (OutcomeStanding.ABANDONED, OutcomeStanding.ALIAS)


class Reading(NamedTuple):
    """A run of a policy's decisions.

    Attributes:
        rows: Those the watch is concerned with, all closed, in decision order.
        after: The last decision looked at, of whatever concern.
        until: When that was made.
        more: Whether there may be more to read at once.
    """

    rows: list[Visit]
    after: DecisionId
    until: datetime | None
    more: bool


def read(
    visits: Visits, policy: PolicyName, after: DecisionId, before: datetime, concerns: Callable[[Decision], bool]
) -> Reading:
    """The next decisions behind the watermark.

    Args:
        before: The watermark: the windows of decisions made earlier have ended.
        concerns: Which decisions are waited for. It must not depend on the intervention drawn.
    """
    found = visits.between(policy, after, before, BATCH)
    rows: list[Visit] = []
    until = None
    for visit in found:
        if visit.decision.override_id is None and concerns(visit.decision):
            if visit.close is None:
                return Reading(rows, after, until, more=False)
            rows.append(visit)
        after, until = visit.decision.decision_id, visit.decision.decided_at
    return Reading([row for row in rows if seen(row)], after, until, more=len(found) == BATCH)


def seen(visit: Visit) -> bool:
    """Whether somebody was told of the decision, for all that is known at close."""
    return visit.close is not None and visit.close.standing not in _UNSEEN


def firsts(
    visits: Visits,
    policy: PolicyName,
    decisions: Iterable[Decision],
    since: Callable[[Decision], datetime],
    defects: Collection[str] = (),
) -> set[DecisionId]:
    """Those of `decisions` that are their shopper's first since a moment. One without a shopper is always a first."""
    found: set[DecisionId] = set()
    asked: dict[datetime, set[bytes]] = {}
    for decision in decisions:
        if decision.subject is None:
            found.add(decision.decision_id)
        else:
            asked.setdefault(since(decision), set()).add(decision.subject)
    for moment, subjects in asked.items():
        found.update(visits.first(policy, subjects, moment, defects).values())
    return found


def day_since(since: datetime) -> Callable[[Decision], datetime]:
    """For `firsts` of a day: where a decision's day began, or the watch if that was later."""
    return lambda decision: max(start_of(Span.DAY, decision.decided_at), since)


class Ruler(NamedTuple):
    """Every arm is measured by the live manifest's reward, whatever its own version calls a success."""

    live: Manifest
    manifests: Manifests

    def reward(self, visit: Visit) -> float:
        """The reward as known at close, in the live reward's unit; 0 while nothing is."""
        if visit.close is None:
            return 0.0
        decision, settlement = visit.decision, visit.close.settlement
        own = self.manifests.by_sha(decision.manifest_sha)
        if own.reward == self.live.reward:
            return settlement.reward
        return worth(self.live.reward, settlement.metrics, own.intervention(decision.intervention).cost)

    def scaled(self, value: float) -> float:
        """A reward of one decision as a number in [0, 1]."""
        reward = self.live.reward
        return (min(max(value, reward.min), reward.max) - reward.min) / (reward.max - reward.min)
