"""Warm: a new version's starting model, learned from what was decided under the policy's other manifests."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ManifestSha
from cxi_bandit.domain.model import Branch, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.offshoot import Offshoot
from cxi_bandit.engine.ports import ModelRoom, OutcomeLog, Registry
from cxi_bandit.policy.compatibility import obstacles


class Teachers(msgspec.Struct, frozen=True):
    """The policy's other versions, by what they can teach one.

    Attributes:
        taught_from: The manifests whose rows it can learn, sorted.
        refused: Why the rows of the others say nothing to it, by version.
    """

    taught_from: tuple[ManifestSha, ...]
    refused: dict[int, list[str]]


def teachers(version: PolicyVersion, registry: Registry, manifests: Manifests) -> Teachers:
    """Who can teach a version."""
    learner = manifests.by_sha(version.manifest_sha)
    fit: set[ManifestSha] = set()
    refused: dict[int, list[str]] = {}
    for other in registry.versions(version.policy):
        if other.manifest_sha == version.manifest_sha:
            continue
        why_not = obstacles(manifests.by_sha(other.manifest_sha), learner)
        if why_not:
            refused[other.version] = why_not
        else:
            fit.add(other.manifest_sha)
    return Teachers(tuple(sorted(fit)), refused)


def warm(
    version: PolicyVersion,
    at: datetime,
    registry: Registry,
    outcomes: OutcomeLog,
    manifests: Manifests,
    room: ModelRoom,
) -> Iterator[Model]:
    """Learns the log so far on the version's untrained model, and moves its head to the end of that.

    Rewards are settled by the version's own [reward], as known now. Called again, it goes on from where it was. Yields
    each model as it is committed; only the last is adopted, so one that stops half-way changes nothing that is served.
    Run it under the policy's writer lock.

    Raises:
        InvalidInput: Nobody can teach it, or it has begun to learn rows of its own.
        LearningConflict: A rival moved the head; the lock is not held, or not heeded.
    """
    found = teachers(version, registry, manifests)
    name = f"{version.policy} version {version.version}"
    if not found.taught_from:
        reasons = "; ".join(f"{number}: {', '.join(why)}" for number, why in found.refused.items())
        raise InvalidInput(name, f"no other version can teach it ({reasons or 'there is none'})")
    head = Learner(registry, outcomes, manifests, room).start(version, at)
    if head.lineage.branch is not Branch.START and not head.lineage.taught_from:
        raise InvalidInput(name, "has begun to learn rows of its own; install its settings as a new version")
    manifest = manifests.by_sha(version.manifest_sha)
    offshoot = Offshoot(version, Branch.WARM, head, registry, outcomes, (manifest, room))
    after, end, seen = head.lineage.up_to, outcomes.head(version.policy), head.lineage.version
    while after < end:
        up_to = min(end, after + manifest.learning.segment_outcomes)
        model, data = offshoot.next(((after, up_to), found.taught_from), at)
        last = up_to == end
        registry.publish(model, data, moves_head_from=seen if last else None, adopt=last)
        offshoot.grow(model, data)
        yield model
        after = up_to
