"""Rebuild: learn a policy's recorded segments again, at a later ledger cut and without what was erased or unlearned."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.errors import LearningConflict, ModelInvalid, NotFound
from cxi_bandit.domain.identifiers import ManifestSha
from cxi_bandit.domain.model import Branch, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.learn import missing, verified_bytes
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.offshoot import Offshoot, Stretch
from cxi_bandit.engine.ports import ModelRoom, OutcomeLog, Registry
from cxi_bandit.policy.manifest import Manifest

_MOST_RIVALS: Final = 20


class RebuildPlan(msgspec.Struct, frozen=True):
    """From which checkpoint what is to be learned again.

    Attributes:
        head: The model that is to be replaced.
        checkpoint: The model of the head's line that the rebuild starts from.
        segments: Boundaries to learn again, in order; empty where there is nothing to mend.
        taught_from: Of each segment, the other manifests whose rows are learned with it.
        forgotten: Outcomes of these segments that the head's line had learned and retention has dropped since; they go
            because something erased goes. Not counted from the start.
    """

    head: Model
    checkpoint: Model
    segments: tuple[tuple[int, int], ...]
    taught_from: tuple[tuple[ManifestSha, ...], ...] = ()
    forgotten: int = 0

    @property
    def stretches(self) -> list[Stretch]:
        """The segments with who teaches them."""
        return list(zip(self.segments, self.taught_from, strict=True))


def plan_rebuild(
    version: PolicyVersion, registry: Registry, outcomes: OutcomeLog, manifest: Manifest, *, from_start: bool = False
) -> RebuildPlan:
    """Looks for the nearest checkpoint: the latest model with bytes before anything that would be learned otherwise.

    Up to there every segment gives the rows that it gave, so the bytes are those of a rebuild from the start. What
    retention has dropped cannot be learned again: such a rebuild starts after it, and what changed before stays as it
    was learned. Only erased outcomes come first: to forget them it starts before them, whatever else is forgotten.

    Args:
        from_start: Begin at the start model whatever changed, and whatever has been dropped.

    Raises:
        NotFound: The policy version has no model yet.
        ModelInvalid: Not even the start model's bytes are there as they were committed.
    """
    head = registry.head(version.policy, version.version)
    if head is None:
        raise NotFound("model of policy", f"{version.policy} version {version.version}")
    line = _line(registry, head)
    checkpoints = _Checkpoints(registry, line)
    if from_start:
        return checkpoints.plan(checkpoints.before(0))

    def changed(since: int) -> int | None:
        """The last model on which nothing changed, from one on; None where nothing did."""
        found = outcomes.changed(version.policy, [model.lineage for model in line[since + 1 :]])
        return None if found is None else since + found

    first = changed(0)
    if first is None:
        return RebuildPlan(head, head, ())
    nearest = checkpoints.before(first)
    erased, expired = _missing(line, nearest, outcomes, manifest)
    if not expired:
        return checkpoints.plan(nearest)
    # From a model that has all the expired rows in it, and none that was erased since; before the erased where none is.
    last = min(erased, default=len(line)) - 1
    kept = checkpoints.between(max(expired), last)
    if kept is None:
        nearest = checkpoints.before(last)
        return checkpoints.plan(nearest, sum(count for index, count in expired.items() if index > nearest))
    first = changed(kept)
    return RebuildPlan(head, head, ()) if first is None else checkpoints.plan(checkpoints.before(first))


class _Checkpoints:
    """The models of a line that a rebuild can start from, by their index in it."""

    def __init__(self, registry: Registry, line: list[Model]) -> None:
        self._registry = registry
        self._line = line
        self._kept = registry.kept(line[-1].lineage.policy)

    def before(self, index: int) -> int:
        """The latest up to an index. Raises ModelInvalid where there is none."""
        found = next((at for at in range(index, -1, -1) if self._usable(at)), None)
        if found is None:
            lineage = self._line[-1].lineage
            raise ModelInvalid(
                f"no model of {lineage.policy} version {lineage.policy_version} is left to start a rebuild from"
            )
        return found

    def between(self, first: int, last: int) -> int | None:
        """The earliest from one index to another."""
        return next((at for at in range(first, last + 1) if self._usable(at)), None)

    def plan(self, at: int, forgotten: int = 0) -> RebuildPlan:
        """To learn again all that comes after a checkpoint."""
        again = self._line[at + 1 :]
        segments = tuple((model.lineage.after, model.lineage.up_to) for model in again)
        taught_from = tuple(model.lineage.taught_from for model in again)
        return RebuildPlan(self._line[-1], self._line[at], segments, taught_from, forgotten)

    def _usable(self, at: int) -> bool:
        if self._line[at].lineage.version not in self._kept:
            return False
        try:
            verified_bytes(self._registry, self._line[at])
        except ModelInvalid:
            return False
        return True


def _missing(
    line: list[Model], after: int, outcomes: OutcomeLog, manifest: Manifest
) -> tuple[dict[int, int], dict[int, int]]:
    """How many erased and how many expired rows the models after a checkpoint had learned, by index in the line."""
    erased, expired = {}, {}
    for index in range(after + 1, len(line)):
        lineage = line[index].lineage
        segment = outcomes.segment(
            lineage.policy, lineage.after, lineage.up_to, lineage.ledger_cut, lineage.unlearn_cut
        )
        lost = missing(segment, lineage, manifest)
        if lost.erased:
            erased[index] = lost.erased
        if lost.expired:
            expired[index] = lost.expired
    return erased, expired


def rebuild(
    version: PolicyVersion,
    at: datetime,
    registry: Registry,
    outcomes: OutcomeLog,
    manifests: Manifests,
    room: ModelRoom,
    *,
    from_start: bool = False,
) -> Iterator[Model]:
    """Makes a new branch from the nearest checkpoint, over the recorded boundaries, and moves the head to its end.

    Late and corrected rewards are learned as known now, erased and unlearned rows not at all; the lineage says so.
    Yields each model as it is committed, none where nothing changed. Only the last one is adopted, so a rebuild that
    stops half-way changes nothing that is served. Run it under the policy's writer lock; should the head move all the
    same, what was learned meanwhile is learned on this branch too.

    Raises:
        NotFound: The policy version has no model yet.
        ModelInvalid: There is no model left to start from.
        LearningConflict: Rivals keep moving the head; the lock is not held, or not heeded.
    """
    manifest = manifests.by_sha(version.manifest_sha)
    plan = plan_rebuild(version, registry, outcomes, manifest, from_start=from_start)
    if not plan.segments:
        return
    branch = Offshoot(version, Branch.REBUILD, plan.checkpoint, registry, outcomes, (manifest, room))
    head, todo = plan.head, deque(plan.stretches)
    rivals = 0
    while todo:
        model, data = branch.next(todo[0], at)
        last = len(todo) == 1
        try:
            registry.publish(model, data, moves_head_from=head.lineage.version if last else None, adopt=last)
        except LearningConflict:
            rivals += 1
            if rivals > _MOST_RIVALS:
                raise
            head, added = _moved(version, registry, head)
            todo.extend(added)
            branch.take_cuts()
            continue
        todo.popleft()
        branch.grow(model, data)
        yield model


def _line(registry: Registry, head: Model) -> list[Model]:
    """The models from the start to the head, each derived from the one before."""
    known = {model.lineage.version: model for model in registry.models(head.lineage.policy)}
    line = [head]
    while line[-1].lineage.parent is not None:
        line.append(known[line[-1].lineage.parent])
    return line[::-1]


def _moved(version: PolicyVersion, registry: Registry, head: Model) -> tuple[Model, list[Stretch]]:
    """Where the head is now, and the segments that were learned on from where it was.

    Raises:
        LearningConflict: It stands on another line now, so what was learned again is not what is served.
    """
    now = registry.head(version.policy, version.version)
    line = [] if now is None else _line(registry, now)
    if now is None or head not in line:
        raise LearningConflict(f"the head of {version.policy} has left the line that is rebuilt")
    added = [model.lineage for model in line[line.index(head) + 1 :]]
    return now, [((lineage.after, lineage.up_to), lineage.taught_from) for lineage in added]
