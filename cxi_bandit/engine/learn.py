"""Learn: the outcome log becomes models, each a pure function of its lineage, published one segment at a time."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from cxi_bandit.domain.errors import ModelInvalid, ShiftExceeded
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.curriculum import Curriculum
from cxi_bandit.engine.fingerprint import golden_vectors, sha256
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom, OutcomeLog, Registry, Segment
from cxi_bandit.engine.shift import Golden, moves_little
from cxi_bandit.policy.manifest import Manifest


def derive(room: ModelRoom, manifest: Manifest, parent: bytes | None, rows: list[Lesson]) -> bytes:
    """The bytes of a model from its parent's bytes and a segment's rows: `start` when there is no parent.

    Pure, and the only way bytes are ever made: the learner, the rebuild and the audit all call it. The parent is always
    loaded from its bytes, because some explorers differ between "went on" and "saved, loaded, went on".
    """
    if parent is None:
        return room.start(manifest)
    return room.learn(manifest, parent, rows)


def _halved(head: Model, lineage: Lineage, rows: list[Lesson]) -> tuple[list[Lesson], Lineage]:
    """The first half of a segment, under the same cuts, that has anything to learn in it.

    Raises:
        ShiftExceeded: There is no smaller one: it holds a single row.
    """
    if len(rows) < 2:  # noqa: PLR2004 - one cannot be halved
        raise ShiftExceeded(f"{lineage.policy}@{head.lineage.version}", rows[0].position if rows else lineage.up_to)
    kept = rows[: len(rows) // 2]
    learned = msgspec.structs.replace(
        lineage,
        up_to=kept[-1].position,
        learned=len(kept),
        learned_total=head.lineage.learned_total + len(kept),
    )
    return kept, learned


class Learner:
    """Learns one policy version on from its head. Whoever holds the registry's writer lock for the policy runs it.

    Args:
        too_far: Told of every model that was derived and not published because it moves the probabilities too far.
        learned: Told of every model that `step` published, with the rows it learned, before `step` returns.
    """

    def __init__(
        self,
        registry: Registry,
        outcomes: OutcomeLog,
        manifests: Manifests,
        room: ModelRoom,
        too_far: Callable[[Lineage], None] = lambda _: None,
        learned: Callable[[Lineage, Sequence[Lesson]], None] = lambda _lineage, _rows: None,
    ) -> None:
        self._registry = registry
        self._outcomes = outcomes
        self._manifests = manifests
        self._room = room
        self._too_far = too_far
        self._learned = learned

    def start(self, version: PolicyVersion, at: datetime) -> Model:
        """The policy version's head, publishing its untrained model first where it has none.

        Raises:
            LearningConflict: A rival published at the same moment; ask again.
        """
        head = self._registry.head(version.policy, version.version)
        if head is not None:
            return head
        manifest = self._manifests.by_sha(version.manifest_sha)
        lineage = Lineage(
            policy=version.policy,
            policy_version=version.version,
            version=ModelVersion(self._registry.last_version(version.policy) + 1),
            branch=Branch.START,
            parent=None,
            manifest_sha=version.manifest_sha,
            vw_build=self._room.build,
            after=0,
            up_to=0,
            ledger_cut=0,
            erasure_cut=self._outcomes.erasure_cut(version.policy),
            learned=0,
            learned_total=0,
            unlearn_cut=self._outcomes.unlearn_cut(version.policy),
        )
        return self._publish(lineage, derive(self._room, manifest, None, []), manifest, at, moves_head_from=None)

    def step(self, version: PolicyVersion, at: datetime) -> Model | None:
        """Learns the next segment and publishes it; None when nothing new has matured.

        Where the manifest bounds how far a published model may move the probabilities, and the segment's would move
        them further, half the segment is learned, and half of that: what is served moves in small steps or not at all.

        Raises:
            LearningConflict: A rival moved the head; nothing was written.
            ModelInvalid: The parent's bytes are gone or not what was committed.
            ShiftExceeded: A single outcome would move the probabilities too far; the head stays.
        """
        head = self.start(version, at)
        manifest = self._manifests.by_sha(version.manifest_sha)
        after = head.lineage.up_to
        up_to = min(self._outcomes.head(version.policy), after + manifest.learning.segment_outcomes)
        if up_to <= after:
            return None
        # Read after the head: every revision these positions' decisions have up to this cut is committed by now.
        ledger_cut = self._outcomes.ledger_cut()
        erasure_cut = self._outcomes.erasure_cut(version.policy)
        unlearn_cut = self._outcomes.unlearn_cut(version.policy)
        segment = self._outcomes.segment(version.policy, after, up_to, ledger_cut, unlearn_cut)
        rows = Curriculum(manifest, version.manifest_sha).lessons(segment)
        lineage = Lineage(
            policy=version.policy,
            policy_version=version.version,
            version=ModelVersion(self._registry.last_version(version.policy) + 1),
            branch=Branch.MAIN,
            parent=head.lineage.version,
            manifest_sha=version.manifest_sha,
            vw_build=self._room.build,
            after=after,
            up_to=up_to,
            ledger_cut=ledger_cut,
            erasure_cut=erasure_cut,
            learned=len(rows),
            learned_total=head.lineage.learned_total + len(rows),
            unlearn_cut=unlearn_cut,
        )
        parent = verified_bytes(self._registry, head)
        while True:
            data = derive(self._room, manifest, parent, rows)
            golden = golden_vectors(manifest, self._room.load(manifest, data))
            if moves_little(head, lineage, golden, manifest):
                model = self._commit(lineage, data, golden, at, moves_head_from=head.lineage.version)
                self._learned(lineage, rows)
                return model
            self._too_far(lineage)
            rows, lineage = _halved(head, lineage, rows)

    def _publish(
        self,
        lineage: Lineage,
        data: bytes,
        manifest: Manifest,
        at: datetime,
        *,
        moves_head_from: ModelVersion | None,
    ) -> Model:
        golden = golden_vectors(manifest, self._room.load(manifest, data))
        return self._commit(lineage, data, golden, at, moves_head_from=moves_head_from)

    def _commit(
        self, lineage: Lineage, data: bytes, golden: Golden, at: datetime, *, moves_head_from: ModelVersion | None
    ) -> Model:
        model = Model(lineage=lineage, sha256=sha256(data), size_bytes=len(data), golden=golden, created_at=at)
        self._registry.publish(model, data, moves_head_from=moves_head_from)
        return model


def verified_bytes(registry: Registry, model: Model) -> bytes:
    """The committed bytes of a model.

    Raises:
        ModelInvalid: They were thinned away, or are not the bytes whose SHA-256 was committed.
    """
    data = registry.model_bytes(model.lineage.policy, model.lineage.version)
    name = f"{model.lineage.policy}@{model.lineage.version}"
    if data is None:
        raise ModelInvalid(f"the bytes of model {name} were thinned away")
    if sha256(data) != model.sha256:
        raise ModelInvalid(f"the bytes of model {name} do not match their SHA-256")
    return data


class Missing(NamedTuple):
    """How many of the rows that a model learned its segment does not have any more, and why."""

    erased: int
    expired: int


def missing(segment: Segment, lineage: Lineage, manifest: Manifest) -> Missing:
    """Of a segment under the model's own cuts: rows only ever vanish, so as many as it learned are the ones it learned.

    Positions that were empty when it learned are none of its rows, whatever emptied them.
    """
    lost = lineage.learned - sum(map(Curriculum.of(lineage, manifest).admits, segment.rows))
    erased = min(max(lost, 0), sum(number > lineage.erasure_cut for number in segment.erased.values()))
    return Missing(erased, min(max(lost - erased, 0), len(segment.expired)))
