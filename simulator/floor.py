"""The shop floor: encounters are decided on and logged by the real engine, and rewards come when they do."""

import heapq
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.policy.manifest import Manifest
from simulator.in_process import InProcess
from simulator.world.feedback import Reporter
from simulator.world.outcomes import roles
from simulator.world.scenarios import Feedback
from simulator.world.shopping import Encounter

SOURCE: Final = Source("shop")


class Floor:
    """Where shoppers meet the engine.

    Args:
        declared: The shop's manifests, by surface.
        seed: Of the world.
    """

    def __init__(self, engine: InProcess, declared: Mapping[str, Manifest], feedback: Feedback, seed: int) -> None:
        self._engine = engine
        self._reporter = Reporter(feedback, seed)
        self._metric_of = {surface: roles(manifest) for surface, manifest in declared.items()}
        self._order = count()
        self._mail: list[tuple[datetime, int, RewardEvent]] = []

    def meet(self, encounter: Encounter, now: datetime) -> Decision:
        """Decides, lets the shopper react, posts what will be heard of it, and logs the decision."""
        decision = self._engine.decide(encounter.request, now)
        manifest = self._engine.route(encounter.request).manifest
        happened = encounter.happening.after(manifest.catalogue.index(decision.intervention))
        horizon = manifest.reward.horizon_seconds
        metric_of = self._metric_of[encounter.request.surface]
        for report in self._reporter.reports(encounter.index, happened, metric_of):
            event = RewardEvent(
                source=SOURCE,
                reward_id=RewardId(report.reward_id),
                decision_id=decision.decision_id,
                metric=report.metric,
                value=report.value,
                occurred_at=decision.decided_at + timedelta(seconds=report.occurred * horizon),
                corrects=None if report.corrects is None else RewardId(report.corrects),
                retracts=None if report.retracts is None else RewardId(report.retracts),
            )
            if report.delivered < 0.0:
                self._engine.record([event], now)
            else:
                at = decision.decided_at + timedelta(seconds=report.delivered * horizon)
                heapq.heappush(self._mail, (at, next(self._order), event))
        self._engine.log(decision)
        return decision

    def deliver(self, until: datetime) -> None:
        """Hands over what is due."""
        due: list[RewardEvent] = []
        while self._mail and self._mail[0][0] <= until:
            due.append(heapq.heappop(self._mail)[2])
        self._engine.record(due, until)
