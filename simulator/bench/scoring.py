"""Scoring a log beside `python -m vowpalwabbit -t` on the same rows: situations on one side, VW's text on the other."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cxi_bandit.domain.decision import Defect, Features, Situation, Stage
from cxi_bandit.domain.identifiers import InterventionId, ManifestSha, ModelVersion
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.policy.features import conform
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.vowpal import VowpalRoom
from cxi_bandit.vowpal.arguments import workspace_arguments
from cxi_bandit.vowpal.encoding import Encoding, Feature
from simulator.candidates.bulk import Origin, encoded_chunks, vectors

MANIFEST = """
format = 1
name = "bench"
surface = "search"
[defects.slow]
[context.features.device]
type = "category"
[context.features.visits]
type = "number"
min = 0
max = 200
scale = "log"
[context.features.cart]
type = "number"
min = 0
max = 500
[context.features.hour]
type = "number"
min = 0
max = 23
[intervention_features.features.strength]
type = "number"
min = 0
max = 1
[reward]
horizon_seconds = 60
min = 0
max = 1
[reward.metrics.click]
weight = 1
min = 0
max = 1
[exploration]
floor = 0.001
hold_floor = 0.001
[learning]
bits = 18
interactions = ["SA"]
"""


@dataclass(frozen=True, eq=False)
class ScoringLog:
    """The same rows for both sides.

    Args:
        chunks: Situations, encoded: what our side reads.
        text: VW's file.
        model: The model's file.
        rows: How many.
    """

    served: ServedPolicy
    origin: Origin
    chunks: list[bytes]
    text: Path
    model: Path
    rows: int

    def ours(self, processes: int) -> float:
        """Seconds to score the rows, starting processes included."""
        return _timed(lambda: self._scored(processes))

    def vw(self) -> float:
        """Seconds of VW's own driver, starting it included."""
        arguments = [argument for argument in workspace_arguments(self.served.manifest) if argument != "--quiet"]
        answers = self.text.with_suffix(".predictions")
        files = ["-i", str(self.model), "-d", str(self.text), "-p", str(answers)]
        command = [sys.executable, "-m", "vowpalwabbit", "--quiet", "-t", *files, *arguments]
        return _timed(lambda: subprocess.run(command, check=True))  # noqa: S603 - our own arguments

    def _scored(self, processes: int) -> None:
        for _ in vectors(self.chunks, self.served, self.origin, processes):
            pass


def scoring_log(folder: Path, rows: int, actions: int, seed: int = 1) -> ScoringLog:
    """Rows whose contexts never repeat: nothing that was scored once can be remembered."""
    interventions = "".join(
        f'[[interventions]]\nid = "action_{k}"\nfeatures = {{ strength = {k / actions} }}\n' for k in range(1, actions)
    )
    manifest = parse_manifest(f'{MANIFEST}[[interventions]]\nid = "hold"\n{interventions}', "bench.toml")
    room = VowpalRoom()
    data = room.start(manifest)
    situations = _situations(manifest, rows, seed)
    text, model = folder / f"{actions}.txt", folder / f"{actions}.vw"
    model.write_bytes(data)
    _write_text(text, manifest, situations)
    return ScoringLog(
        _served(manifest, room, data), Origin(data, room), list(encoded_chunks(situations)), text, model, rows
    )


def _situations(manifest: Manifest, rows: int, seed: int) -> list[Situation]:
    generator = random.Random(seed)
    made = []
    for _ in range(rows):
        context: Features = {
            "device": generator.choice(["desktop", "mobile", "tablet", "app"]),
            "visits": float(generator.randint(0, 200)),
            "cart": generator.random() * 500,
            "hour": float(generator.randint(0, 23)),
        }
        conformed, _ = conform(manifest.context, context, "/context")
        defect = Defect("slow", generator.random(), generator.random())
        made.append(Situation(defect=defect, context=conformed, eligible=manifest.catalogue))
    return made


def _served(manifest: Manifest, room: VowpalRoom, data: bytes) -> ServedPolicy:
    now, learned = datetime.now(UTC), manifest.exploration.cold_start.outcomes
    lineage = Lineage(
        policy=manifest.policy,
        policy_version=1,
        version=ModelVersion(1),
        branch=Branch.MAIN,
        parent=None,
        manifest_sha=ManifestSha(""),
        vw_build=room.build,
        after=0,
        up_to=learned,
        ledger_cut=0,
        erasure_cut=0,
        learned=learned,
        learned_total=learned,
    )
    model = Model(lineage=lineage, sha256="", size_bytes=len(data), golden=(), created_at=now)
    release = PolicyVersion(
        policy=manifest.policy, version=1, manifest_sha=ManifestSha(""), stage=Stage.CANDIDATE, created_at=now
    )
    return ServedPolicy(release, manifest, model, room.load(manifest, data))


def _write_text(path: Path, manifest: Manifest, situations: list[Situation]) -> None:
    encoding = Encoding(manifest)
    actions = {InterventionId(name): f"|A {_joined(features)}" for name, features in encoding.catalogue.items()}
    with path.open("w") as file:
        for situation in situations:
            file.write(f"shared |S {_joined(encoding.shared(situation.defect, situation.context))}\n")
            file.writelines(f"{actions[name]}\n" for name in situation.eligible)
            file.write("\n")


def _joined(features: list[Feature]) -> str:
    return " ".join(one if isinstance(one, str) else f"{one[0]}:{one[1]:.9g}" for one in features)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
