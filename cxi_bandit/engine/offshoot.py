"""An offshoot: models grown one after the other from a checkpoint, under cuts of their own, beside what is served."""

from datetime import datetime

from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.curriculum import Curriculum
from cxi_bandit.engine.fingerprint import golden_vectors, sha256
from cxi_bandit.engine.learn import derive, verified_bytes
from cxi_bandit.engine.ports import ModelRoom, OutcomeLog, Registry
from cxi_bandit.policy.manifest import Manifest

Stretch = tuple[tuple[int, int], tuple[ManifestSha, ...]]
"""Positions to learn, and the other manifests whose rows are learned with them."""


class Offshoot:
    """The branch under way: its tip, and how the model after it is made."""

    def __init__(
        self,
        version: PolicyVersion,
        branch: Branch,
        checkpoint: Model,
        registry: Registry,
        outcomes: OutcomeLog,
        learning: tuple[Manifest, ModelRoom],
    ) -> None:
        self._version = version
        self._branch = branch
        self._registry = registry
        self._outcomes = outcomes
        self._manifest, self._room = learning
        self._tip, self._data = checkpoint, verified_bytes(registry, checkpoint)
        self.take_cuts()

    def take_cuts(self) -> None:
        """From here on, what is known now is learned."""
        policy = self._version.policy
        self._ledger_cut = self._outcomes.ledger_cut()
        self._erasure_cut = self._outcomes.erasure_cut(policy)
        self._unlearn_cut = self._outcomes.unlearn_cut(policy)

    def next(self, stretch: Stretch, at: datetime) -> tuple[Model, bytes]:
        """The model that learns a stretch on the branch's tip, and its bytes; not yet published."""
        span, taught_from = stretch
        version, parent = self._version, self._tip.lineage
        curriculum = Curriculum(self._manifest, version.manifest_sha, taught_from)
        cuts = (self._ledger_cut, self._unlearn_cut)
        segment = self._outcomes.segment(version.policy, *span, *cuts, heard=curriculum.settles)
        rows = curriculum.lessons(segment)
        data = derive(self._room, self._manifest, self._data, rows)
        lineage = Lineage(
            policy=version.policy,
            policy_version=version.version,
            version=ModelVersion(self._registry.last_version(version.policy) + 1),
            branch=self._branch,
            parent=parent.version,
            manifest_sha=version.manifest_sha,
            vw_build=self._room.build,
            after=span[0],
            up_to=span[1],
            ledger_cut=self._ledger_cut,
            erasure_cut=self._erasure_cut,
            learned=len(rows),
            learned_total=parent.learned_total + len(rows),
            unlearn_cut=self._unlearn_cut,
            taught_from=taught_from,
        )
        golden = golden_vectors(self._manifest, self._room.load(self._manifest, data))
        return Model(lineage=lineage, sha256=sha256(data), size_bytes=len(data), golden=golden, created_at=at), data

    def grow(self, model: Model, data: bytes) -> None:
        """The model is committed: the next one is derived from it."""
        self._tip, self._data = model, data
