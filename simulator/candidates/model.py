"""A model of the registry as candidate: the bytes that were committed, served under the manifest they were made for."""

from dataclasses import dataclass, field, replace

from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.fingerprint import recognise
from cxi_bandit.engine.learn import verified_bytes
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom, Registry
from simulator.candidates.bulk import Origin
from simulator.candidates.candidate import Prepared
from simulator.candidates.scoring import Scoring, score
from simulator.datasets.log import ReplayLog
from simulator.progress import Track


@dataclass(frozen=True, eq=False)
class ModelCandidate:
    """`model:POLICY@VERSION`, VERSION counting the policy's models.

    Args:
        origin: What its scorer was loaded from.
        scoring: How rows are scored; None takes the defaults.
    """

    spec: str
    served: ServedPolicy
    origin: Origin | None = None
    scoring: Scoring | None = None
    by_row: bool = field(default=True, init=False)

    @classmethod
    def load(
        cls,
        spec: str,
        policy: PolicyName,
        version: ModelVersion,
        registry: Registry,
        room: ModelRoom,
        scoring: Scoring | None = None,
    ) -> "ModelCandidate":
        """Loads the model the way a worker does, checks included.

        Raises:
            NotFound: There is no such model.
            ModelInvalid: Its bytes are gone, or not what was committed.
        """
        model = registry.model(policy, version)
        lineage = model.lineage
        manifest = Manifests(registry).by_sha(lineage.manifest_sha)
        release = next((known for known in registry.versions(policy) if known.version == lineage.policy_version), None)
        if release is None:
            raise NotFound("policy version", f"{policy} version {lineage.policy_version}")
        data = verified_bytes(registry, model)
        scorer = room.load(manifest, data)
        recognise(model, manifest, data, scorer)
        return cls(spec, ServedPolicy(release, manifest, model, scorer), Origin(data, room), scoring)

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:
        """Scores every logged situation, and says on how many of them the model itself has learned."""
        prepared = score(log, self.served, track, self.origin, self.scoring)
        learned = self._learned(log)
        if not learned:
            return prepared
        note = (
            f"the model was learned from {learned} of these {len(log)} rows, which flatters it; for an honest number "
            "replay its manifest"
        )
        return replace(prepared, notes=(*prepared.notes, note))

    def _learned(self, log: ReplayLog) -> int:
        """How many rows are decisions of the model's own policy at or before the end of its last segment."""
        model = self.served.model
        if model is None or log.policy != model.lineage.policy:
            return 0
        manifest = log.manifest
        positions = (log.contexts.training_row(row, manifest).position for row in range(len(log)))
        return sum(position <= model.lineage.up_to for position in positions)
