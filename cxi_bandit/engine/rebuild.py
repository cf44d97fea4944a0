"""Rebuild: learn a policy's recorded segments again, at a later ledger cut and without what was erased since."""

from collections.abc import Iterator
from datetime import datetime

from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.fingerprint import golden_vectors, sha256
from cxi_bandit.engine.learn import derive, teachable
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom, OutcomeLog, Registry


def rebuild(
    version: PolicyVersion,
    at: datetime,
    registry: Registry,
    outcomes: OutcomeLog,
    manifests: Manifests,
    room: ModelRoom,
) -> Iterator[Model]:
    """Makes a new branch from the start model on, over the same segment boundaries, and moves the head to its end.

    Late and corrected rewards are learned as known now, erased rows not at all; the lineage says so. Yields each model
    as it is committed; only the last one is adopted, so a rebuild that stops half-way changes nothing that is served.
    Run it under the policy's writer lock.

    Raises:
        NotFound: The policy version has no model yet.
        LearningConflict: A rival moved the head meanwhile.
    """
    head = registry.head(version.policy, version.version)
    if head is None:
        raise NotFound("model of policy", f"{version.policy} version {version.version}")
    manifest = manifests.by_sha(version.manifest_sha)
    ledger_cut, erasure_cut = outcomes.ledger_cut(), outcomes.erasure_cut(version.policy)
    start, segments = _recorded(registry, head)
    parent, data = start, derive(room, manifest, None, [])
    for after, up_to in segments:
        rows = teachable(outcomes.segment(version.policy, after, up_to, ledger_cut), version.manifest_sha)
        data = derive(room, manifest, data, rows)
        lineage = Lineage(
            policy=version.policy,
            policy_version=version.version,
            version=ModelVersion(registry.last_version(version.policy) + 1),
            branch=Branch.REBUILD,
            parent=parent.lineage.version,
            manifest_sha=version.manifest_sha,
            vw_build=room.build,
            after=after,
            up_to=up_to,
            ledger_cut=ledger_cut,
            erasure_cut=erasure_cut,
            learned=len(rows),
            learned_total=parent.lineage.learned_total + len(rows),
        )
        golden = golden_vectors(manifest, room.load(manifest, data))
        parent = Model(lineage=lineage, sha256=sha256(data), size_bytes=len(data), golden=golden, created_at=at)
        last = up_to == segments[-1][1]
        registry.publish(parent, data, moves_head_from=head.lineage.version if last else None, adopt=last)
        yield parent


def _recorded(registry: Registry, head: Model) -> tuple[Model, list[tuple[int, int]]]:
    """The start model of the head's line and the segment boundaries from there to the head."""
    segments: list[tuple[int, int]] = []
    model = head
    while model.lineage.parent is not None:
        segments.append((model.lineage.after, model.lineage.up_to))
        model = registry.model(model.lineage.policy, model.lineage.parent)
    return model, segments[::-1]
