"""Work off: rebuilds that were asked for, by whoever asked or by the manifest's schedule, one policy at a time."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Clock, ModelRoom, OutcomeLog, Rebuilds, Registry
from cxi_bandit.engine.rebuild import rebuild


def work_off(
    policy: PolicyName,
    rebuilds: Rebuilds,
    registry: Registry,
    outcomes: OutcomeLog,
    manifests: Manifests,
    room: ModelRoom,
    *,
    clock: Clock,
    from_start: bool = False,
) -> Iterator[Model]:
    """Mends every head of a policy, then answers the requests that waited when this began; yields each model made.

    A request that comes meanwhile waits for the next time. Whoever dies on the way leaves the requests waiting, and the
    heads that were mended already need nothing more. Run it under the policy's writer lock.

    Raises:
        ModelInvalid: There is no model left to start from.
        LearningConflict: A head was moved elsewhere meanwhile; nothing is answered, begin again.
    """
    asked = [request.request_id for request in rebuilds.waiting() if request.policy == policy]
    heads = []
    for version in registry.versions(policy):
        if registry.head(policy, version.version) is None:
            continue
        yield from rebuild(version, clock(), registry, outcomes, manifests, room, from_start=from_start)
        head = registry.head(policy, version.version)
        heads += [] if head is None else [head.lineage.version]
    rebuilds.answer(asked, heads, clock())


def ask_when_due(version: PolicyVersion, rebuilds: Rebuilds, manifests: Manifests, now: datetime) -> bool:
    """Asks for a rebuild where the manifest's `rebuild_hours` have passed since one was last asked for; whether it did.

    Two learners that ask at the same moment ask twice; one rebuild answers both.
    """
    hours = manifests.by_sha(version.manifest_sha).learning.rebuild_hours
    if not hours:
        return False
    last = max((request.asked_at for request in rebuilds.history(version.policy)), default=version.created_at)
    if now - last < timedelta(hours=hours):
        return False
    rebuilds.ask(version.policy, "schedule", now)
    return True
