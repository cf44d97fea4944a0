"""A shop with one policy: days pass, shoppers come, models are learned, candidates weighed, proposed, watched."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.candidacy import Ports, Proposal
from cxi_bandit.engine.ports import FiledReport
from cxi_bandit.engine.promote import approve, propose
from cxi_bandit.engine.watch import Act, Watcher
from cxi_bandit.engine.watch_view import WatchPorts, canary_alpha
from cxi_bandit.policy.arms import ratio
from cxi_bandit.policy.parsing import parse_manifest
from simulator.candidates import ModelCandidate
from simulator.datasets.live_log import read_live_log
from simulator.floor import Floor
from simulator.in_process import InProcess
from simulator.loop import START
from simulator.trials import close_sitting, read_docket, weigh
from simulator.world.scenarios import SHOPPING, Scenario
from simulator.world.shopping import Encounter, ShoppingWorld

PROPOSER: Final = "ann"
APPROVER: Final = "bob"
_FILE: Final = "shop.toml"
_ENDLESS: Final = 10_000_000


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """How simulated time goes.

    Attributes:
        decisions: Of a day, evenly spread.
        passes: Of joining, watching and taking up, a day.
    """

    decisions: int = 500
    passes: int = 8


class Met(msgspec.Struct, frozen=True, gc=False):
    """A decision, and the truth about it."""

    encounter: Encounter
    decision: Decision


class Shop:
    """All that the lifecycle of one policy needs, on a clock that moves only while shoppers come.

    Args:
        text: The policy's manifest; its first version is live from the beginning.
        seed: Same seed and same calls, same run.
    """

    def __init__(self, text: str, seed: int, scenario: Scenario = SHOPPING, calendar: Calendar | None = None) -> None:
        self.manifest = parse_manifest(text, _FILE)
        self.policy = self.manifest.policy
        self.now = START
        self.met: list[Met] = []
        self.engine = InProcess({_FILE: text}, START, seed)
        store = self.engine.store
        self.ports = Ports(store.registry, store.releases, store.evaluations, self.engine.manifests)
        self.acts: list[Act] = []
        self._watched = WatchPorts(
            store.visits, store.registry, store.releases, store.evaluations, self.engine.manifests
        )
        self._watcher = Watcher(self._watched)
        self.calendar = calendar or Calendar()
        self.seed = seed
        self._declared = {self.manifest.surface: self.manifest}
        self._floor = Floor(self.engine, self._declared, scenario.feedback, seed)
        self.becomes(scenario)
        self.engine.turn(self.now, learning=False)

    @property
    def rollout(self) -> Rollout:
        """Who answers now."""
        return self.ports.releases.rollout(self.policy)

    @property
    def share_of_canary(self) -> float:
        """Rho of the running canary among its own shoppers and the live arm's."""
        return ratio(self.rollout, "", Arm.CANARY)

    @property
    def alpha_of_canary(self) -> float:
        """What the canary of the last promotion may err with."""
        return canary_alpha(self.ports.releases.promotions(self.policy)[-1], self._watched, self.manifest)

    def becomes(self, scenario: Scenario) -> None:
        """From the next shopper on this is another world: the same shoppers, another truth."""
        self._encounters = ShoppingWorld(self._declared, self.seed, scenario).encounters(_ENDLESS, len(self.met))

    def open(self, days: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Shoppers come for so many days, or until something is so; returns whether it is."""
        each = max(self.calendar.decisions // self.calendar.passes, 1)
        step = timedelta(days=1) / (each * self.calendar.passes)
        for _ in range(round(days * self.calendar.passes)):
            for encounter in islice(self._encounters, each):
                self.met.append(Met(encounter, self._floor.meet(encounter, self.now)))
                self.now += step
            self._floor.deliver(self.now)
            self.engine.turn(self.now, learning=False)
            self._watch()
            if until():
                return True
        return False

    def _watch(self) -> None:
        """As the learner's process does: look, and look again after whatever was done."""
        while True:
            turn = self._watcher.turn(self.policy, self.now)
            self.acts += turn.acts
            if not turn.more and not turn.acts:
                return
            self.engine.turn(self.now, learning=False)

    def learned(self) -> ModelVersion:
        """Lets the learner learn all there is, and names the model that it ends with."""
        self.engine.turn(self.now)
        head = self.ports.registry.head(self.policy, 1)
        if head is None:
            raise LookupError(self.policy)
        return head.lineage.version

    def weighed(self, model: ModelVersion, *, audited: bool = False) -> FiledReport:
        """One sitting of the gate about a model, as `cxi-bandit replay --gate` holds it; the report as it was filed.

        Args:
            audited: Every logged decision is executed again first; takes as long as deciding did.
        """
        engine, registry, releases = self.engine, self.ports.registry, self.ports.releases
        audit = DecisionAudit(registry, releases, engine.manifests, engine.keyring, engine.room) if audited else None
        log = read_live_log(self.policy, engine.store.outcomes, engine.manifests, audit)
        spec = f"model:{self.policy}@{model}"
        candidate = ModelCandidate.load(spec, self.policy, model, registry, engine.room)
        docket = read_docket(engine.store, engine.room, log, [candidate])
        ((number, _),) = close_sitting(docket, [weigh(docket, candidate)], self.ports.evaluations, self.now)
        return self.ports.evaluations.get(number)

    def proposed(self, model: ModelVersion, evaluation: int) -> Promotion:
        """A model of the first version, put forward on a report."""
        asked = Proposal(policy=self.policy, version=1, model=model, evaluation_id=evaluation, author=PROPOSER)
        return propose(asked, self.ports, self.now)

    def approved(self, promotion: Promotion) -> Promotion:
        """Another person's yes; what it rolls out is served from the next shopper on."""
        given = approve(promotion.promotion_id, APPROVER, self.ports, self.now)
        self.engine.turn(self.now, learning=False)
        return given

    def promotion(self, promotion: Promotion) -> Promotion:
        """As it stands now."""
        return self.ports.releases.promotion(promotion.promotion_id)

    def trail(self, since: datetime = START) -> list[str]:
        """What the audit trail says was done."""
        return [entry.action for entry in self.ports.registry.trail(self.policy) if entry.at >= since]
