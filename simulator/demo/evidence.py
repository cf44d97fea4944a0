"""What can be proved once the traffic is over: off-policy estimates beside the truth, and every model derived again."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.bootstrap.engine import Store
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.engine.audit import DecisionAudit, audit_models
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.settings import Settings
from cxi_bandit.vowpal import VowpalRoom
from simulator.candidates import Candidate, ManifestCandidate, Uniform
from simulator.datasets.live_log import read_live_log
from simulator.demo.service import DemoService
from simulator.progress import Track, silent
from simulator.replay import ReplaySettings, replay
from simulator.world.shopping import Encounter

_CROSS_FIT: Final = 5
_CLOSING_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.2


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A challenger evaluated on the live log, beside what the world knows.

    Attributes:
        estimate: Cross-fitted doubly robust; None when there is none.
        truth: The challenger's exact expected reward on the very rows it was evaluated on.
        incumbent: Mean reward of those rows as logged.
    """

    policy: str
    candidate: str
    rows: int
    estimate: float | None
    interval: tuple[float, float] | None
    confidence: float
    truth: float
    incumbent: float
    verdict: Ruling


class AuditSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How the audit of all models ended."""

    models: int
    outcomes: int
    verdicts: dict[str, int]

    @property
    def proved(self) -> bool:
        """Every model was derived again, bit for bit."""
        return self.verdicts == {"identical": self.models}


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """The demo's store while its service still runs, and the means to ask it."""

    store: Store
    manifests: Mapping[str, Manifest]
    directory: Path

    def settle(self, decisions: int) -> None:
        """Waits until every decision's window is closed and learned, or the patience is over."""
        until = time.monotonic() + _CLOSING_SECONDS
        while time.monotonic() < until:
            # Not positions: a late reward's revision takes one too.
            learned = sum(model.lineage.learned_total for model in self.store.registry.heads())
            if learned >= decisions:
                return
            time.sleep(_LOOK_SECONDS)

    def challenge(self, surface: str, encounters: Mapping[UUID, Encounter], track: Track = silent) -> list[Challenge]:
        """Uniform, and the manifest learned anew on the log's first half and judged on the second."""
        manifest = self.manifests[surface]
        shelf, room = Manifests(self.store.registry), VowpalRoom()
        store = self.store
        audit = DecisionAudit(store.registry, store.releases, shelf, store.keyring, room, store.outcomes)
        log = read_live_log(manifest.policy, self.store.outcomes, shelf, audit, track)
        mine = sorted(name for name, encounter in encounters.items() if encounter.request.surface == surface)
        expected = np.array([encounters[name].expected for name in mine])
        file = self.directory / "policies" / f"{manifest.name}.toml"
        candidates: list[Candidate] = [
            Uniform(),
            ManifestCandidate.read("relearned", file, room, 0.5),
        ]
        found = []
        for candidate in candidates:
            prepared = candidate.prepare(log, silent)
            report = replay(log, candidate, ReplaySettings(folds=_CROSS_FIT), track).report
            rows = len(prepared.log)
            headline = report.estimates[report.headline]
            found.append(
                Challenge(
                    policy=manifest.name,
                    candidate=candidate.spec,
                    rows=rows,
                    estimate=headline.value,
                    interval=headline.interval,
                    confidence=headline.confidence,
                    truth=float(np.einsum("nk,nk->n", prepared.probabilities, expected[-rows:]).mean()),
                    incumbent=float(prepared.log.rounds.reward.mean()),
                    verdict=report.verdict.decision,
                )
            )
        return found

    def audit(self, track: Track = silent) -> AuditSummary:
        """Derives every model of every policy again from its lineage."""
        shelf, room = Manifests(self.store.registry), VowpalRoom()
        verdicts: Counter[str] = Counter()
        policies = [manifest.policy for manifest in self.manifests.values()]
        models = [model for policy in policies for model in self.store.registry.models(policy)]
        with track("Deriving every model again", len(models)) as advance:
            for policy in policies:
                mine = [model for model in models if model.lineage.policy == policy]
                for finding in audit_models(mine, self.store.registry, self.store.outcomes, shelf, room):
                    verdicts[finding.verdict.value] += 1
                    advance(1)
        learned = sum(model.lineage.learned for model in models)
        return AuditSummary(models=len(models), outcomes=learned, verdicts=dict(verdicts))


@contextmanager
def opened_evidence(service: DemoService, manifests: Mapping[str, Manifest]) -> Iterator[Evidence]:
    """The store of a running demo service."""
    with open_store(Settings(data_dir=service.data_dir)) as store:
        yield Evidence(store=store, manifests=manifests, directory=service.directory)


def open_bandit(service: DemoService) -> dict[str, Any] | None:
    """The Open Bandit Dataset's random log imported and replayed with its Thompson sampling, by the command line.

    None where the data is not at hand: it comes with a checkout, not with an installed package.
    """
    data = Path(__file__).parents[2] / "tests" / "data" / "obd"
    if not (data / "random-men.csv.gz").is_file():
        return None
    items = str(data / "items-men.csv.gz")
    service.command("import", "obd", str(data / "random-men.csv.gz"), "--items", items, "--log", "random-men")
    report = service.command("replay", "--log", "random-men", "--candidate", f"table:{data / 'obd.json'}#bts-men")
    return dict(report)
