"""A live log as a trial may see it: rewards as known when each window closed, whatever was corrected later."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, PolicyName, minted_at
from cxi_bandit.domain.outcome import OutcomeRevision, OutcomeStanding, TrainingRow
from cxi_bandit.engine.ports import OutcomeLog
from simulator.datasets.history import evidence
from simulator.datasets.live_contexts import LiveContexts
from simulator.datasets.live_log import BATCH
from simulator.datasets.log import ReplayLog
from simulator.progress import Track, silent


@dataclass(frozen=True, eq=False, kw_only=True)
class ClosedLog:
    """A live log at close.

    Args:
        log: With the reward of revision 0; without decisions that an override made.
        closes: Revision 0 of every decision, those included that the log leaves out.
        rows: The log's rows of every defect type, which a model may have learned.
        through: Every window that ended before this moment has been closed.
    """

    log: ReplayLog
    closes: Mapping[DecisionId, OutcomeRevision]
    rows: Sequence[TrainingRow]
    through: datetime

    def about(self, defects: Collection[str]) -> "ClosedLog":
        """Only the decisions of these defect types; of what was never shown the type is not known, and it all stays.

        Raises:
            InvalidInput: There is no such decision.
        """
        rows = live(self.log).rows
        kept = [number for number, row in enumerate(rows) if row.decision.situation.defect.type in defects]
        if not kept:
            raise InvalidInput(
                "defect", f"{self.log.name} has no decision on {', '.join(defects)} whose window has closed"
            )
        others = {row.decision.decision_id for row in rows} - {rows[number].decision.decision_id for number in kept}
        return replace(
            self,
            log=self.log.take(np.array(kept, dtype=np.intp)),
            closes={name: close for name, close in self.closes.items() if name not in others},
        )

    def unactivated(self, since: datetime) -> int:
        """Decisions from `since` on that the log leaves out because they were never shown.

        What is shown may depend on what was drawn, so a trial over the others alone would be about another question.
        """
        known = {row.decision.decision_id for row in live(self.log).rows}
        return sum(
            close.standing is OutcomeStanding.UNACTIVATED and name not in known and minted_at(name) >= since
            for name, close in self.closes.items()
        )


def live(log: ReplayLog) -> LiveContexts:
    """The log's rows as they were logged.

    Raises:
        InvalidInput: The log is imported: it knows no incumbent, so there is nothing to be better than.
    """
    if not isinstance(log.contexts, LiveContexts):
        raise InvalidInput(
            "log", f"{log.name} is an imported log; a trial needs the live log of the policy it is about"
        )
    return log.contexts


def read_closes(policy: PolicyName, outcomes: OutcomeLog, track: Track = silent) -> list[OutcomeRevision]:
    """Revision 0 of every decision of the policy, in position order."""
    found: list[OutcomeRevision] = []
    with track("Reading outcomes at close", outcomes.head(policy)) as advance:
        while batch := outcomes.closes(policy, found[-1].position if found else 0, BATCH):
            found += batch
            advance(len(batch))
    return found


def at_close(log: ReplayLog, closes: Sequence[OutcomeRevision]) -> ClosedLog:
    """The log with rewards as known at close.

    Raises:
        InvalidInput: The log is not a live one, or holds nothing that a trial can use.
    """
    by_decision = {close.decision_id: close for close in closes}
    rows = live(log).rows
    kept = [
        number
        for number, row in enumerate(rows)
        if (close := by_decision.get(row.decision.decision_id)) is not None
        and close.standing not in (OutcomeStanding.OVERRIDDEN, OutcomeStanding.HELD_BACK)
    ]
    if not kept:
        raise InvalidInput("log", f"{log.name} has no decision whose window has closed")
    part = log.take(np.array(kept, dtype=np.intp))
    found = [by_decision[row.decision.decision_id] for row in live(part).rows]
    rewards = [close.settlement.reward for close in found]
    # A window that a first reward closed says nothing about others that end as late as its own would have.
    ends = (min(row.decision.closes_at, close.closed_at) for row, close in zip(live(part).rows, found, strict=True))
    completed = [close.settlement.completed for close in found]
    decisions = [row.decision for row in live(part).rows]
    manifests = {decision.manifest_sha: live(part).manifest_of(row) for row, decision in enumerate(decisions)}
    closed = replace(
        part.rewarded(np.array(rewards)),
        completed=np.array(completed),
        evidence=evidence(zip(decisions, rewards, completed, strict=True), manifests),
        snapshot=None,  # no cut of the ledger has every value as it was at its own close
    )
    return ClosedLog(
        log=closed,
        closes=by_decision,
        rows=live(closed).rows,
        through=max(ends),
    )
