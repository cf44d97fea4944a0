"""Manifests by SHA-256, parsed once: what a decision was made under is what the database kept, not today's file."""

from cxi_bandit.domain.identifiers import ManifestSha
from cxi_bandit.engine.ports import Registry
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest


class Manifests:
    """A read-through shelf over the registry. A manifest never changes under its SHA-256, so nothing is evicted."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._shelf: dict[ManifestSha, Manifest] = {}

    def by_sha(self, sha: ManifestSha) -> Manifest:
        """Raises NotFound when the registry has no such manifest."""
        manifest = self._shelf.get(sha)
        if manifest is None:
            manifest = parse_manifest(self._registry.manifest_text(sha), f"manifest {sha[:12]}")
            self._shelf[sha] = manifest
        return manifest
