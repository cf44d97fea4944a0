"""Override: a person pins an intervention, or halts all to `hold`, and lifts it again; by name, with a reason."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cxi_bandit.domain.decision import HOLD
from cxi_bandit.domain.errors import InvalidInput, NotFound, WrongStep
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.engine.candidacy import version_of
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Registry, Releases
from cxi_bandit.policy.features import escape
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import mismatch

LONGEST: Final = timedelta(days=90)
"""What stands longer than this should be said in the manifest."""


def pin(override: Override, registry: Registry, releases: Releases, manifests: Manifests) -> Override:
    """Keeps a pin of one policy, after it has been held against the policy's live manifest.

    Raises:
        NotFound: There is no such policy.
        InvalidInput: Names the field that the manifest does not allow, or an expiry that is past or too far.
    """
    if override.policy is None:
        raise InvalidInput("/policy", "a pin is about one policy; only a halt may be about all")
    rollout = releases.rollout(override.policy)
    _check(override, manifests.by_sha(version_of(rollout.live, override.policy, registry).manifest_sha))
    if override.expires_at is None or not override.made_at < override.expires_at <= override.made_at + LONGEST:
        raise InvalidInput("/expires_at", f"must lie in the future, at most {LONGEST.days} days ahead")
    detail = {"intervention": str(override.intervention), "reason": override.reason}
    detail |= {name: value for name in ("surface", "defect") if (value := getattr(override, name)) is not None}
    detail |= {f"segment.{name}": str(value) for name, value in override.segment.items()}
    detail["expires_at"] = override.expires_at.isoformat()
    return releases.override(override, _entry("override pin", override, override.author, override.made_at, detail))


def halt(policy: PolicyName | None, by: str, reason: str, releases: Releases, at: datetime) -> Override:
    """Sends everything of a policy, or of all, to `hold` until it is lifted.

    Raises:
        NotFound: There is no such policy.
    """
    if policy is not None:
        releases.rollout(policy)
    made = Override(intervention=HOLD, author=by, reason=reason, made_at=at, expires_at=None, policy=policy)
    return releases.override(made, _entry("halt", made, by, at, {"reason": reason}))


def lift(override_id: int, by: str, releases: Releases, at: datetime) -> Override:
    """Ends a pin or a halt; what it pinned was never learned, and what follows is as before.

    Raises:
        NotFound: There is none of this id.
        WrongStep: It was lifted before.
    """
    found = next((one for one in releases.overrides(standing=False) if one.override_id == override_id), None)
    if found is None:
        raise NotFound("override", str(override_id))
    lifted = msgspec.structs.replace(found, lifted_at=at, lifted_by=by)
    detail = {"override": str(override_id), "intervention": str(found.intervention)}
    entry = _entry("halt lift" if found.halts else "override lift", found, by, at, detail)
    if found.lifted_at is not None or not releases.lift(lifted, entry):
        raise WrongStep(f"override {override_id} was lifted before")
    return lifted


def _check(override: Override, manifest: Manifest) -> None:
    if override.surface not in (None, manifest.surface):
        raise InvalidInput("/surface", f"policy {manifest.name} serves {manifest.surface!r}; leave the surface out")
    if override.defect is not None and override.defect not in manifest.defects:
        raise InvalidInput(
            "/defect",
            f"{override.defect!r} is not a defect of policy {manifest.name}; known: {_list(manifest.defects)}",
        )
    entry = next((known for known in manifest.interventions if known.id == override.intervention), None)
    if entry is None:
        raise InvalidInput(
            "/intervention",
            f"{override.intervention!r} is not an intervention of policy {manifest.name}; known: "
            f"{_list(manifest.catalogue)}",
        )
    if override.defect is not None and entry.defects and override.defect not in entry.defects:
        raise InvalidInput(
            "/intervention",
            f"{entry.id!r} is never possible for defect {override.defect!r}; it answers {_list(entry.defects)}",
        )
    for name, value in override.segment.items():
        kind = manifest.context.features.get(name)
        pointer = f"/segment/{escape(name)}"
        if kind is None:
            known = _list(manifest.context.features)
            raise InvalidInput(pointer, f"is not a context feature of policy {manifest.name}; known: {known}")
        if reason := mismatch(kind, value):
            raise InvalidInput(pointer, reason)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _entry(action: str, override: Override, by: str, at: datetime, detail: dict[str, str]) -> AuditEntry:
    return AuditEntry(at=at, actor=by, action=action, policy=override.policy, detail=detail)
