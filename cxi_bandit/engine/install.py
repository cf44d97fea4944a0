"""Install: manifests found at start-up become policy versions, the first live, later ones candidates."""

from collections.abc import Iterable
from datetime import datetime

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import ManifestInvalid
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.rollout import SALT_BYTES, Rollout, Split, Stand
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Registry
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.policy.release_rules import RolloutRules


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
        first = first_rollout(version, manifest, actor) if stage is Stage.LIVE else None
        installed.append(registry.install(version, entry, first))
    return installed


def first_rollout(version: PolicyVersion, manifest: Manifest, actor: str) -> Rollout:
    """A policy's first roll-out: its first version answers, and the shoppers it declares are left alone.

    Where only models that passed the gate are served, none has yet, and it draws from the cold start.
    """
    rules = manifest.rollout
    return Rollout(
        policy=version.policy,
        revision=1,
        live=Stand(version=version.version, follows_head=manifest.learning.updates == "continuous"),
        hold=left_alone(version.policy, rules),
        hold_rotation_days=rules.hold_rotation_days,
        apprentice=rules.apprentice,
        made_at=version.created_at,
        made_by=actor,
        reason="the first version of the policy",
    )


def left_alone(policy: PolicyName, rules: RolloutRules) -> Split | None:
    """The shoppers whom a manifest leaves alone: the same, but for more or fewer, whichever version declares it."""
    return Split(share=rules.hold_share, salt=salt(policy, "hold")) if rules.hold_share else None


def salt(policy: PolicyName, *parts: str) -> str:
    """A salt of a policy's own. The name is cut, never what tells its salts apart."""
    kind = "".join(f"/{part}" for part in parts)
    return f"{policy[: SALT_BYTES - len(kind)]}{kind}"


def _check_surfaces(registry: Registry, manifests: list[tuple[str, Manifest]]) -> None:
    """A defect type of a surface is one policy's: a request that names none must have one answer."""
    owners: dict[tuple[str, str], PolicyName] = {}
    shelf = Manifests(registry)
    for version in registry.versions():
        if version.stage in (Stage.LIVE, Stage.CANARY):
            standing = shelf.by_sha(version.manifest_sha)
            owners.update({(standing.surface, defect): version.policy for defect in standing.defects})
    for file, manifest in manifests:
        for defect in manifest.defects:
            owner = owners.setdefault((manifest.surface, defect), manifest.policy)
            if owner != manifest.policy:
                raise ManifestInvalid(
                    file, f"defects.{defect}", f"on {manifest.surface!r} it is policy {owner}'s; leave it to that one"
                )
