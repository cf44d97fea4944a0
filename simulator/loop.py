"""The loop: the real engine in process, on a simulated clock, in a world whose truth is known.

Nothing of the engine is imitated. Requests are admitted and decided, decisions appended, rewards recorded, windows
joined, segments learned and published, and the published models taken into service, by the very functions the service
calls, through the same ports in memory.
"""

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import count
from typing import Final
from uuid import UUID

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import DecisionEntry, ModelRoom
from cxi_bandit.engine.record import record
from cxi_bandit.engine.serve import Serving
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.store.memory import MemoryStore
from cxi_bandit.vowpal import VowpalRoom
from simulator.manifests import by_surface
from simulator.tally import Tally
from simulator.world.feedback import Reporter
from simulator.world.loggers import logging_texts
from simulator.world.outcomes import roles
from simulator.world.scenarios import SHOPPING, Scenario
from simulator.world.shopping import Encounter, ShoppingWorld

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
SOURCE: Final = Source("shop")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast simulated time goes.

    Attributes:
        seconds_per_decision: From one decision to the next, over all surfaces.
        seconds_per_pass: From one pass of joining, learning and reloading to the next.
    """

    seconds_per_decision: float = 10.0
    seconds_per_pass: float = 3600.0


class SeededKeyring:
    """Keyring whose keys come from the seed, so that a run can be repeated draw by draw."""

    def __init__(self, seed: int) -> None:
        self._draw = DrawKey("draw-1", blake2b(b"draw %d" % seed, digest_size=32).digest())
        self._subject = blake2b(b"subject %d" % seed, digest_size=32).digest()

    def draw_key(self, key_id: str | None = None) -> DrawKey:
        """See the port."""
        if key_id not in (None, self._draw.key_id):
            raise NotFound("draw key", str(key_id))
        return self._draw

    def subject_key(self) -> bytes:
        """See the port."""
        return self._subject


@dataclass(frozen=True, eq=False, kw_only=True)
class LoopResult:
    """A finished run.

    Attributes:
        decisions: In order.
        tally: Exact values of what was decided, beside hold-only, uniform and oracle.
        store: The ports as the run left them, for replay and audit.
        room: Where its models were made.
    """

    decisions: list[Decision]
    tally: Tally
    store: MemoryStore
    keyring: SeededKeyring
    manifests: Manifests
    room: ModelRoom


class Loop:
    """One engine in one world, from its first decision to its last outcome.

    Args:
        texts: Manifest texts by file name, of shipped policies or variants of them: the shop's rules. Where a scenario
            is about who logs, the engine serves variants of these.
        seed: Same seed, same run, to the last bit.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        seed: int,
        scenario: Scenario = SHOPPING,
        pace: Pace | None = None,
        room: ModelRoom | None = None,
    ) -> None:
        self._pace = pace or Pace()
        self._seed = seed
        self._scenario = scenario
        self._declared = by_surface(texts)
        self._store = MemoryStore()
        self._room = room or VowpalRoom()
        self._keyring = SeededKeyring(seed)
        self._manifests = Manifests(self._store.registry)
        self._serving = Serving(self._store.registry, self._store.releases, self._manifests, self._room)
        self._learner = Learner(self._store.registry, self._store.outcomes, self._manifests, self._room)
        self._reporter = Reporter(scenario.feedback, seed)
        self._metric_of = {surface: roles(manifest) for surface, manifest in self._declared.items()}
        self._ids = random.Random(seed)
        self._order = count()
        self._mail: list[tuple[datetime, int, RewardEvent]] = []
        install(self._store.registry, logging_texts(texts, scenario).items(), START, "simulator")

    def run(self, decisions: int) -> LoopResult:
        """Runs the world's first `decisions` encounters, then waits for the last rewards and learns them too."""
        world = ShoppingWorld(self._declared, self._seed, self._scenario, length=decisions)
        tally = Tally()
        made: list[Decision] = []
        self._pass(START)
        step, rest = timedelta(seconds=self._pace.seconds_per_decision), timedelta(seconds=self._pace.seconds_per_pass)
        now, next_pass = START, START + rest
        for encounter in world.encounters(decisions):
            if now >= next_pass:
                self._deliver(now)
                self._pass(now)
                next_pass = now + rest
            made.append(self._decide(encounter, now, tally))
            now += step
        end = now + 2 * max(timedelta(seconds=m.reward.horizon_seconds) for m in self._declared.values())
        self._deliver(end)
        self._pass(end)
        return LoopResult(
            decisions=made,
            tally=tally,
            store=self._store,
            keyring=self._keyring,
            manifests=self._manifests,
            room=self._room,
        )

    def _decide(self, encounter: Encounter, now: datetime, tally: Tally) -> Decision:
        served = self._serving.route(encounter.request)
        admitted = admit(encounter.request, served)
        key, subject = self._keyring.draw_key(), self._keyring.subject_key()
        decision = decide(encounter.request, admitted, served, self._mint(now), key, subject)
        catalogue = served.manifest.catalogue
        drawn = catalogue.index(decision.intervention)
        happened = encounter.happening.after(drawn)
        horizon = served.manifest.reward.horizon_seconds
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
                self._record([event], now)
            else:
                at = decision.decided_at + timedelta(seconds=report.delivered * horizon)
                heapq.heappush(self._mail, (at, next(self._order), event))
        self._store.decisions.append([DecisionEntry(decision)])
        tally.add(encounter, dict(zip(decision.situation.eligible, decision.probabilities, strict=True)), catalogue)
        return decision

    def _deliver(self, until: datetime) -> None:
        due: list[RewardEvent] = []
        while self._mail and self._mail[0][0] <= until:
            due.append(heapq.heappop(self._mail)[2])
        self._record(due, until)

    def _record(self, events: list[RewardEvent], at: datetime) -> None:
        record(events, at, self._store.decisions, self._store.ledger, self._manifests)

    def _pass(self, now: datetime) -> None:
        while not join(self._store.outcomes, self._manifests, now, timedelta(0)).idle:
            pass
        for version in self._store.registry.versions():
            while self._learner.step(version, now) is not None:
                pass
        self._serving.refresh()

    def _mint(self, now: datetime) -> DecisionId:
        """A UUIDv7 at `now` whose other bits come from the seed and the order: the service's mint draws them afresh."""
        milliseconds = int(now.timestamp() * 1000)
        bits = milliseconds << 80 | 0x7 << 76 | self._ids.getrandbits(12) << 64 | 0b10 << 62 | self._ids.getrandbits(62)
        return DecisionId(UUID(int=bits))
