"""Manifests, policy versions and models with their lineage."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.rollout import Rollout


class Registry(Protocol):
    """Manifests, policy versions, models with lineage, the audit trail. Append-only but for stages and heads."""

    def put_manifest(self, text: str) -> ManifestSha:
        """Keeps a manifest's exact text under its SHA-256. Idempotent."""
        ...

    def manifest_text(self, sha: ManifestSha) -> str:
        """The text kept under `sha`. Raises NotFound."""
        ...

    def install(self, version: PolicyVersion, entry: AuditEntry, rollout: Rollout | None = None) -> PolicyVersion:
        """Records a policy version and its audit line; the same (policy, version) again returns what stands.

        Args:
            rollout: The policy's first, which makes its first version live.
        """
        ...

    def versions(self, policy: PolicyName | None = None) -> list[PolicyVersion]:
        """Versions of one or all policies, by name and number."""
        ...

    def head(self, policy: PolicyName, policy_version: int) -> Model | None:
        """The model a policy version serves and learns on from; None before its first."""
        ...

    def heads(self) -> list[Model]:
        """The head of every policy version that has one, in one cheap read: what workers poll."""
        ...

    def model(self, policy: PolicyName, version: ModelVersion) -> Model:
        """Raises NotFound."""
        ...

    def models(self, policy: PolicyName) -> list[Model]:
        """All models of a policy, by version."""
        ...

    def models_with_bytes(self, policy: PolicyName) -> list[Model]:
        """Those of a policy's models whose bytes are there, by version: few, however many were ever published."""
        ...

    def models_over(self, policy: PolicyName, position: int) -> list[Model]:
        """Those of a policy's models whose segment holds an outcome position, by version."""
        ...

    def last_version(self, policy: PolicyName) -> int:
        """The highest version among all models of a policy, 0 when it has none."""
        ...

    def model_bytes(self, policy: PolicyName, version: ModelVersion) -> bytes | None:
        """The bytes as committed; None once thinned away. Raises NotFound."""
        ...

    def kept(self, policy: PolicyName) -> set[ModelVersion]:
        """The versions whose bytes are there."""
        ...

    def thin(self, policy: PolicyName, versions: Collection[ModelVersion]) -> int:
        """Drops the bytes of these versions, never those of a head or of a start; returns how many went.

        Lineage, SHA-256 and golden vectors stay: the bytes can be derived again for as long as the rows are there.
        """
        ...

    def publish(self, model: Model, data: bytes, *, moves_head_from: ModelVersion | None, adopt: bool = True) -> None:
        """Commits bytes, SHA-256 and lineage in one transaction, moves the head when `adopt`, and tells the workers.

        Raises:
            LearningConflict: The head is not `moves_head_from` any more, or the version exists: nothing was written.
        """
        ...

    def writer(self, policy: PolicyName) -> AbstractContextManager[bool]:
        """Tries to become the policy's one learner for the length of the context; False when another process is."""
        ...

    def note(self, entry: AuditEntry) -> None:
        """Appends a line to the audit trail."""
        ...

    def trail(self, policy: PolicyName | None = None) -> list[AuditEntry]:
        """The audit trail, oldest first."""
        ...
