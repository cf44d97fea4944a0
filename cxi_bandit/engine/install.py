"""Install: manifests found at start-up become policy versions, the first live, later ones candidates."""

from collections.abc import Iterable
from datetime import datetime

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import ManifestInvalid
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Registry
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest


def install(registry: Registry, manifests: Iterable[tuple[str, str]], at: datetime, actor: str) -> list[PolicyVersion]:
    """Registers manifests; returns the versions that are new.

    A policy's first manifest goes live: there is nothing it could be compared with. A changed manifest becomes a
    candidate and stays one until it is promoted on evidence. One that stands already is left alone.

    Args:
        manifests: Pairs of (file name, text).

    Raises:
        ManifestInvalid: One of them is wrong, or two policies claim one surface; nothing was registered.
    """
    given = list(manifests)
    parsed = [(parse_manifest(text, file), text) for file, text in given]
    _check_surfaces(registry, [(file, manifest) for (file, _), (manifest, _) in zip(given, parsed, strict=True)])
    installed = []
    for manifest, text in parsed:
        known = registry.versions(manifest.policy)
        sha = registry.put_manifest(text)
        if any(version.manifest_sha == sha for version in known):
            continue
        stage = Stage.CANDIDATE if known else Stage.LIVE
        version = PolicyVersion(
            policy=manifest.policy,
            version=known[-1].version + 1 if known else 1,
            manifest_sha=sha,
            stage=stage,
            created_at=at,
        )
        detail = {"version": str(version.version), "manifest_sha": sha, "stage": stage.value}
        entry = AuditEntry(at=at, actor=actor, action="install", policy=manifest.policy, detail=detail)
        installed.append(registry.install(version, entry))
    return installed


def _check_surfaces(registry: Registry, manifests: list[tuple[str, Manifest]]) -> None:
    """A surface is one policy's: a request that names none must have one answer."""
    owners: dict[str, PolicyName] = {}
    shelf = Manifests(registry)
    for version in registry.versions():
        if version.stage is Stage.LIVE:
            owners[shelf.by_sha(version.manifest_sha).surface] = version.policy
    for file, manifest in manifests:
        owner = owners.setdefault(manifest.surface, manifest.policy)
        if owner != manifest.policy:
            raise ManifestInvalid(file, "surface", f"{manifest.surface!r} is policy {owner}'s; give this one another")
