"""The guardrails' watch: does a harm's mean exceed its declared bound? Each harm by a detector of its own."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import numpy as np

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, lowest_id_at
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Visit, Visits
from cxi_bandit.engine.watch_rows import day_since, firsts, read
from cxi_bandit.evidence.detector import Detector, above, bounded
from cxi_bandit.policy.harms import Harm, harms, suffered
from cxi_bandit.policy.manifest import Manifest


class GuardWatch(msgspec.Struct, frozen=True, kw_only=True):
    """All that the guardrails of one arm know; the same however the reading was cut.

    Attributes:
        since: When those who answer the arm began to.
        arm: Live or canary.
        after: The last decision read.
        until: When that was made.
        detectors: By harm.
        alarms: How often it has gone off with nothing to go back to, and was begun again.
    """

    since: datetime
    arm: Arm
    after: DecisionId
    until: datetime | None = None
    detectors: dict[str, Detector]
    alarms: int = 0

    @property
    def alarmed(self) -> str | None:
        """The first harm whose detector has gone off."""
        return next((name for name, one in self.detectors.items() if one.alarmed_after is not None), None)

    def afresh(self) -> "GuardWatch":
        """Begun again after an alarm; what was read stays read."""
        detectors = {name: one.afresh() for name, one in self.detectors.items()}
        return msgspec.structs.replace(self, detectors=detectors, alarms=self.alarms + 1)


def opened(since: datetime, arm: Arm, live: Manifest) -> GuardWatch:
    """A watch that has heard nothing, over the harms that the live manifest guards against."""
    return GuardWatch(
        since=since,
        arm=arm,
        after=lowest_id_at(since),
        detectors={harm.name: above(harm.scaled_bound, live.rollout.alarm_at) for harm in harms(live)},
    )


class Listening(NamedTuple):
    """Where an arm's shoppers are found.

    Attributes:
        revisions: Every revision with the same version in the arm, by number.
        live: The manifest whose guardrails count: a candidate does not bring its own.
    """

    visits: Visits
    revisions: Mapping[int, Rollout]
    live: Manifest
    manifests: Manifests

    def listen(self, watch: GuardWatch, at: datetime) -> tuple[GuardWatch, bool]:
        """The watch after the decisions that have closed, and whether there may be more to hear at once.

        A shopper counts once a day, with the day's first decision: one who comes a thousand times is one shopper.
        """
        policy = self.revisions[max(self.revisions)].policy
        watermark = at - timedelta(seconds=self.live.reward.horizon_seconds)
        reading = read(self.visits, policy, watch.after, watermark, lambda decision: self._is_of(watch.arm, decision))
        decisions = [visit.decision for visit in reading.rows]
        today = firsts(self.visits, policy, decisions, day_since(watch.since))
        counted = [visit for visit in reading.rows if visit.decision.decision_id in today]
        detectors = {
            harm.name: watch.detectors[harm.name].watching(
                bounded(np.array([self._had(harm, visit) for visit in counted], np.float64))
            )
            for harm in harms(self.live)
        }
        heard = msgspec.structs.replace(
            watch, detectors=detectors, after=reading.after, until=reading.until or watch.until
        )
        return heard, reading.more

    def _is_of(self, arm: Arm, decision: Decision) -> bool:
        """A policy that has the live arm alone, with nobody beside it, logs no arm at all."""
        assignment = decision.assignment
        if assignment is None:
            newest = self.revisions[max(self.revisions)]
            return arm is Arm.LIVE and decision.policy_version in newest.stages()
        return assignment.arm is arm and assignment.revision in self.revisions

    def _had(self, harm: Harm, visit: Visit) -> float:
        decision = visit.decision
        metrics = {} if visit.close is None else visit.close.settlement.metrics
        return suffered(harm, self.manifests.by_sha(decision.manifest_sha), metrics, decision.intervention)
