"""A shop's traffic in real time: defects met, interventions shown, what happened reported as untidily as in life."""

import heapq
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
from typing import Final
from uuid import UUID

from cxi_bandit.domain.identifiers import DecisionIdMint, InterventionId
from cxi_bandit.policy.manifest import Manifest
from simulator.demo.client import Answer, Client, RewardMessage
from simulator.progress import Advance
from simulator.tally import Tally
from simulator.world.feedback import Reporter
from simulator.world.outcomes import roles
from simulator.world.shopping import Encounter, ShoppingWorld

_MOST_AT_ONCE: Final = 64
_MOST_REPORTS: Final = 500
_NAP_SECONDS: Final = 0.01
_SIGNED_EVERY: Final = 5
_STRAY_EVERY: Final = 500


@dataclass(frozen=True, eq=False, kw_only=True)
class Traffic:
    """What was sent and what came of it.

    Attributes:
        encounters: By the id of their decision.
        statuses: How many reward events ended how.
    """

    tally: Tally
    encounters: dict[UUID, Encounter]
    statuses: Counter[str]
    seconds: float


class Shop:
    """Sends a world's encounters at a steady rate and reports what happened.

    Every fifth decision's rewards come by the signed webhook, the others to `/v1/rewards`: a reward's source is part of
    its identity, so a redelivery takes the way of the first delivery. A decision's id is known only from its answer, so
    nobody can report early over HTTP; instead a few strays name decisions that do not exist, and must be parked.
    """

    def __init__(self, client: Client, manifests: Mapping[str, Manifest], world: ShoppingWorld, seed: int) -> None:
        self._client = client
        self._manifests = manifests
        self._metric_of = {surface: roles(manifest) for surface, manifest in manifests.items()}
        self._world = world
        self._reporter = Reporter(world.scenario.feedback, seed)
        self._mail: list[tuple[float, int, bool, RewardMessage]] = []
        self._order = count()
        self._strays = DecisionIdMint()
        self._tally = Tally()
        self._encounters: dict[UUID, Encounter] = {}
        self._statuses: Counter[str] = Counter()

    def trade(self, decisions: int, per_second: float, advance: Advance, first: int = 0) -> Traffic:
        """Sends `decisions` encounters from the `first` on, at most `per_second`, and every report about them."""
        waiting = self._world.encounters(first + decisions, first)
        started = time.monotonic()
        sent = 0
        while sent < decisions or self._mail:
            now = time.monotonic()
            due = min(int((now - started) * per_second) + 1, decisions) - sent
            made = self._ask(islice(waiting, min(due, _MOST_AT_ONCE))) if due > 0 else 0
            sent += made
            advance(made)
            if not self._report(now) and not made:
                time.sleep(_NAP_SECONDS)
        return Traffic(
            tally=self._tally,
            encounters=self._encounters,
            statuses=self._statuses,
            seconds=time.monotonic() - started,
        )

    def _ask(self, some: Iterator[Encounter]) -> int:
        batch = list(some)
        answers = self._client.decide([encounter.request for encounter in batch])
        now = time.monotonic()
        for encounter, answer in zip(batch, answers, strict=True):
            self._met(encounter, answer, now)
        return len(batch)

    def _met(self, encounter: Encounter, answer: Answer, now: float) -> None:
        surface = encounter.request.surface
        manifest = self._manifests[surface]
        horizon = manifest.reward.horizon_seconds
        shown = manifest.catalogue.index(InterventionId(answer.intervention))
        self._tally.add(encounter, answer.probabilities, manifest.catalogue)
        self._encounters[answer.decision_id] = encounter
        decided_at = answer.closes_at - timedelta(seconds=horizon)
        signed = encounter.index % _SIGNED_EVERY == 0
        for report in self._reporter.reports(
            encounter.index, encounter.happening.after(shown), self._metric_of[surface]
        ):
            message = RewardMessage(
                decision_id=answer.decision_id,
                reward_id=report.reward_id,
                metric=report.metric,
                occurred_at=decided_at + timedelta(seconds=report.occurred * horizon),
                value=report.value,
                corrects=report.corrects,
                retracts=report.retracts,
            )
            at = now + max(report.delivered, 0.0) * horizon
            heapq.heappush(self._mail, (at, next(self._order), signed, message))
        if encounter.index % _STRAY_EVERY == 0:
            metric = self._metric_of[surface]["order"]
            nobody = self._strays.mint(decided_at)
            stray = RewardMessage(nobody, f"{encounter.index}/stray", metric, decided_at, 1.0)
            heapq.heappush(self._mail, (now, next(self._order), signed, stray))

    def _report(self, now: float) -> int:
        due: dict[bool, list[RewardMessage]] = {False: [], True: []}
        taken = 0
        while self._mail and self._mail[0][0] <= now and taken < _MOST_REPORTS:
            _, _, signed, message = heapq.heappop(self._mail)
            due[signed].append(message)
            taken += 1
        for signed, messages in due.items():
            if messages:
                self._statuses.update(self._client.report(messages, signed=signed))
        return taken
