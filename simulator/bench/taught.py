"""Decisions and models made without a service: by the engine's own functions, for logs and registries to be filled."""

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.errors import LearningConflict, NotFound
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.fingerprint import golden_vectors, sha256
from cxi_bandit.engine.learn import derive
from cxi_bandit.engine.ports import ModelRoom, Registry
from cxi_bandit.policy.manifest import Manifest
from simulator.bench import bodies

_PAID: Final = 0.3
_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.1


def decided(engine: Engine, manifest: Manifest, number: int, seed: int) -> list[Decision]:
    """So many decisions of the policy that the engine serves."""
    seeded = random.Random(seed)
    made = []
    for _ in range(number):
        asked = bodies.decision(seeded, manifest, features=False)
        request = DecisionRequest(
            surface=asked["surface"],
            defect=Defect(**asked["defect"]),
            context=asked["context"],
            subject=asked["subject"],
        )
        served = engine.serving.route(request)
        name = engine.mint.mint(engine.clock())
        made.append(decide(request, admit(request, served), served, name, engine.draw_key, engine.subject_key))
    return made


def rows(decisions: Sequence[Decision], manifest: Manifest, seed: int) -> list[Lesson]:
    """The decisions with rewards at the ends of the declared range."""
    seeded, reward = random.Random(seed), manifest.reward
    return [
        Lesson(
            position=place,
            decision_id=one.decision_id,
            manifest_sha=one.manifest_sha,
            situation=one.situation,
            intervention=one.intervention,
            propensity=one.propensity,
            reward=reward.max if seeded.random() < _PAID else reward.min,
        )
        for place, one in enumerate(decisions, 1)
    ]


def lessons(engine: Engine, manifest: Manifest, number: int, outcomes: int) -> list[bytes]:
    """So many models, each learned on from the one before with as many outcomes."""
    data, made = derive(engine.room, manifest, None, []), []
    for turn in range(number):
        taught = rows(decided(engine, manifest, outcomes, turn), manifest, turn)
        data = derive(engine.room, manifest, data, taught)
        made.append(data)
    return made


def live(registry: Registry, policy: PolicyName) -> PolicyVersion:
    """The policy's version that is served.

    Raises:
        NotFound: It is not installed.
    """
    for version in registry.versions(policy):
        return version
    raise NotFound("policy", policy)


def publish(
    registry: Registry, room: ModelRoom, manifest: Manifest, data: bytes, *, learned: int, up_to: int | None = None
) -> Model:
    """Puts a model at the head of the live version, as the learner does.

    Args:
        learned: Outcomes it is said to have learned beyond the head.
        up_to: How far it is said to have come in the outcome log; None for as far as the head.

    Raises:
        NotFound: The learner has published no head yet.
        LearningConflict: A rival published at the same moment.
    """
    version = live(registry, manifest.policy)
    head = registry.head(version.policy, version.version)
    if head is None:
        raise NotFound("head", manifest.policy)
    before = head.lineage
    lineage = Lineage(
        policy=version.policy,
        policy_version=version.version,
        version=ModelVersion(registry.last_version(version.policy) + 1),
        branch=Branch.MAIN,
        parent=before.version,
        manifest_sha=version.manifest_sha,
        vw_build=room.build,
        after=before.up_to,
        up_to=before.up_to if up_to is None else up_to,
        ledger_cut=before.ledger_cut,
        erasure_cut=before.erasure_cut,
        learned=learned,
        learned_total=before.learned_total + learned,
    )
    golden = golden_vectors(manifest, room.load(manifest, data))
    model = Model(
        lineage=lineage, sha256=sha256(data), size_bytes=len(data), golden=golden, created_at=datetime.now(UTC)
    )
    registry.publish(model, data, moves_head_from=before.version)
    return model


def publish_beside_learner(
    registry: Registry, room: ModelRoom, manifest: Manifest, data: bytes, *, learned: int
) -> Model:
    """As `publish`, on a service whose learner publishes as well: again until the learner has, and does not meanwhile.

    Raises:
        NotFound: It never does.
        LearningConflict: It always does.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return publish(registry, room, manifest, data, learned=learned)
        except (NotFound, LearningConflict):
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
