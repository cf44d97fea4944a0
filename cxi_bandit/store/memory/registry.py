"""Registry in memory."""

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import LearningConflict, NotFound
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.policy.manifest import manifest_sha
from cxi_bandit.store.memory.access import MemoryTrail


class MemoryRegistry:
    """See the port for every method."""

    def __init__(self, lock: threading.RLock, trail: MemoryTrail) -> None:
        self._lock = lock
        self._manifests: dict[ManifestSha, str] = {}
        self._versions: dict[tuple[PolicyName, int], PolicyVersion] = {}
        self._models: dict[tuple[PolicyName, ModelVersion], Model] = {}
        self._bytes: dict[tuple[PolicyName, ModelVersion], bytes] = {}
        self._heads: dict[tuple[PolicyName, int], ModelVersion] = {}
        self._trail = trail
        self.rollouts: dict[PolicyName, list[Rollout]] = {}
        self._writers: dict[PolicyName, threading.Lock] = {}

    def put_manifest(self, text: str) -> ManifestSha:
        """See the port."""
        sha = manifest_sha(text)
        self._manifests[sha] = text
        return sha

    def manifest_text(self, sha: ManifestSha) -> str:
        """See the port."""
        if sha not in self._manifests:
            raise NotFound("manifest", sha)
        return self._manifests[sha]

    def install(self, version: PolicyVersion, entry: AuditEntry, rollout: Rollout | None = None) -> PolicyVersion:
        """See the port."""
        with self._lock:
            key = (version.policy, version.version)
            if key not in self._versions:
                if rollout is not None:
                    self.rollouts.setdefault(rollout.policy, []).append(rollout)
                self._versions[key] = version
                self._trail.append(entry)
            return self._versions[key]

    def versions(self, policy: PolicyName | None = None) -> list[PolicyVersion]:
        """See the port."""
        return [known for (name, _), known in sorted(self._versions.items()) if policy in (None, name)]

    def put_in_stages(self, policy: PolicyName, stages: Mapping[int, Stage]) -> None:
        """What a roll-out does to the stages of a policy's versions."""
        for (name, number), known in self._versions.items():
            if name != policy:
                continue
            stage = stages.get(number)
            if stage is None and known.stage in (Stage.LIVE, Stage.CANARY, Stage.SHADOW):
                stage = Stage.RETIRED
            if stage is not None:
                self._versions[name, number] = msgspec.structs.replace(known, stage=stage)

    def head(self, policy: PolicyName, policy_version: int) -> Model | None:
        """See the port."""
        version = self._heads.get((policy, policy_version))
        return None if version is None else self._models[policy, version]

    def heads(self) -> list[Model]:
        """See the port."""
        with self._lock:
            return [self._models[policy, version] for (policy, _), version in sorted(self._heads.items())]

    def model(self, policy: PolicyName, version: ModelVersion) -> Model:
        """See the port."""
        if (policy, version) not in self._models:
            raise NotFound("model", f"{policy}@{version}")
        return self._models[policy, version]

    def models(self, policy: PolicyName) -> list[Model]:
        """See the port."""
        with self._lock:
            return [model for (name, _), model in sorted(self._models.items()) if name == policy]

    def last_version(self, policy: PolicyName) -> int:
        """See the port."""
        return max((version for name, version in self._models if name == policy), default=0)

    def model_bytes(self, policy: PolicyName, version: ModelVersion) -> bytes | None:
        """See the port."""
        self.model(policy, version)
        return self._bytes.get((policy, version))

    def models_with_bytes(self, policy: PolicyName) -> list[Model]:
        """See the port."""
        kept = self.kept(policy)
        return [model for model in self.models(policy) if model.lineage.version in kept]

    def models_over(self, policy: PolicyName, position: int) -> list[Model]:
        """See the port."""
        return [model for model in self.models(policy) if model.lineage.after < position <= model.lineage.up_to]

    def kept(self, policy: PolicyName) -> set[ModelVersion]:
        """See the port."""
        with self._lock:
            return {version for name, version in self._bytes if name == policy}

    def thin(self, policy: PolicyName, versions: Collection[ModelVersion]) -> int:
        """See the port."""
        with self._lock:
            heads = {version for (name, _), version in self._heads.items() if name == policy}
            going = {
                version
                for version in set(versions) - heads
                if (policy, version) in self._bytes and self._models[policy, version].lineage.parent is not None
            }
            for version in going:
                del self._bytes[policy, version]
            return len(going)

    def publish(self, model: Model, data: bytes, *, moves_head_from: ModelVersion | None, adopt: bool = True) -> None:
        """See the port."""
        lineage = model.lineage
        key, place = (lineage.policy, lineage.version), (lineage.policy, lineage.policy_version)
        with self._lock:
            if key in self._models:
                raise LearningConflict(f"model {lineage.policy}@{lineage.version} exists")
            if adopt and self._heads.get(place) != moves_head_from:
                raise LearningConflict(f"the head of {lineage.policy} is {self._heads.get(place)}")
            self._models[key] = model
            self._bytes[key] = data
            if adopt:
                self._heads[place] = lineage.version

    @contextmanager
    def writer(self, policy: PolicyName) -> Iterator[bool]:
        """See the port."""
        with self._lock:
            turn = self._writers.setdefault(policy, threading.Lock())
        held = turn.acquire(blocking=False)
        try:
            yield held
        finally:
            if held:
                turn.release()

    def note(self, entry: AuditEntry) -> None:
        """See the port."""
        self._trail.append(entry)

    def trail(self, policy: PolicyName | None = None) -> list[AuditEntry]:
        """See the port."""
        return [entry for entry in self._trail if policy in (None, entry.policy)]
