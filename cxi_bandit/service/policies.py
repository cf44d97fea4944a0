"""`/v1/policies`: which versions there are, in which stage, answering whom with which model."""

from collections.abc import Iterable
from concurrent.futures import Executor
from datetime import datetime

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model, by_version
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.policy.arms import shares
from cxi_bandit.service.overrides import standing
from cxi_bandit.service.promotions import known_policy
from cxi_bandit.service.routing import declared, in_thread, json_answer


class PolicyVersionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a policy.

    Attributes:
        model_version: The newest model published for it; null before the first.
        served_model_version: The model that the answering worker serves; null when it serves none.
        learned_total: Outcomes its newest model has learned.
    """

    policy: str
    policy_version: int
    surface: str
    stage: Stage
    manifest_sha: str
    created_at: datetime
    model_version: int | None
    served_model_version: int | None
    learned_total: int


class PoliciesAnswer(msgspec.Struct, frozen=True):
    """Every version of every policy."""

    policies: list[PolicyVersionAnswer]


class ArmAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An arm, and who answers it.

    Attributes:
        share: Of the shoppers, all arms counted, for the defect types that a canary is about.
        policy_version: Null where shoppers are left alone.
        model_version: The model that the arm keeps; null where it goes with its version's newest, or has none.
        follows_head: Whether it goes with its version's newest.
    """

    arm: Arm
    share: float
    policy_version: int | None
    model_version: int | None
    follows_head: bool


class PolicyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One policy: its versions, who answers for it, what is on its way there, what is pinned, and its audit trail.

    Attributes:
        manifest: Of the live version.
        rollout: The newest revision, whole.
        overrides: Those in force, halts of everything among them.
    """

    name: str
    versions: list[PolicyVersionAnswer]
    manifest: str
    rollout: Rollout
    arms: list[ArmAnswer]
    promotions: list[Promotion]
    overrides: list[Override]
    trail: list[AuditEntry]


def describe_versions(engine: Engine, versions: Iterable[PolicyVersion]) -> list[PolicyVersionAnswer]:
    """The versions with their newest models, and what this process serves of them."""
    heads = by_version(engine.store.registry.heads())
    # A version may answer in several arms with different models: the weightiest arm's, which comes first, is told.
    served: dict[tuple[PolicyName, int], Model | None] = {}
    for policy in engine.serving.policies:
        served.setdefault((policy.version.policy, policy.version.version), policy.model)
    return [
        _described(
            engine,
            version,
            heads.get((version.policy, version.version)),
            served.get((version.policy, version.version)),
        )
        for version in versions
    ]


def _described(engine: Engine, version: PolicyVersion, head: Model | None, served: Model | None) -> PolicyVersionAnswer:
    return PolicyVersionAnswer(
        policy=version.policy,
        policy_version=version.version,
        surface=engine.manifests.by_sha(version.manifest_sha).surface,
        stage=version.stage,
        manifest_sha=version.manifest_sha,
        created_at=version.created_at,
        model_version=None if head is None else head.lineage.version,
        served_model_version=None if served is None else served.lineage.version,
        learned_total=0 if head is None else head.lineage.learned_total,
    )


def arms_of(rollout: Rollout) -> list[tuple[Arm, float, Stand | None]]:
    """Every arm with its share of the shoppers, and who answers it; nobody does where they are left alone."""
    stands = {Arm.LIVE: rollout.live}
    if rollout.canary is not None:
        stands[Arm.CANARY] = rollout.canary.stand
    if rollout.previous is not None:
        stands[Arm.PREVIOUS] = rollout.previous.stand
    return [(arm, share, stands.get(arm)) for arm, share in shares(rollout).items()]


def describe_arms(rollout: Rollout) -> list[ArmAnswer]:
    """The arms of a roll-out."""
    return [
        ArmAnswer(
            arm=arm,
            share=share,
            policy_version=None if stand is None else stand.version,
            model_version=None if stand is None else stand.model,
            follows_head=stand is not None and stand.follows_head,
        )
        for arm, share, stand in arms_of(rollout)
    ]


def _policy(engine: Engine, name: str) -> PolicyAnswer:
    store = engine.store
    policy = known_policy(engine, name)
    versions = store.registry.versions(policy)
    rollout = store.releases.rollout(policy)
    [live] = [version for version in versions if version.version == rollout.live.version]
    return PolicyAnswer(
        name=policy,
        versions=describe_versions(engine, versions),
        manifest=store.registry.manifest_text(live.manifest_sha),
        rollout=rollout,
        arms=describe_arms(rollout),
        promotions=store.releases.promotions(policy),
        overrides=standing(engine, policy),
        trail=store.registry.trail(policy),
    )


def policy_routes(engine: Engine, threads: Executor) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @get("/v1/policies", opt=declared(Scope.READ, "All policies with their versions", answer=PoliciesAnswer))
    async def list_policies() -> ASGIResponse:
        versions = await in_thread(threads, lambda: describe_versions(engine, engine.store.registry.versions()))
        return json_answer(PoliciesAnswer(versions))

    @get("/v1/policies/{name:str}", opt=declared(Scope.READ, "One policy", answer=PolicyAnswer))
    async def read_policy(name: FromPath[str]) -> ASGIResponse:
        return json_answer(await in_thread(threads, lambda: _policy(engine, name)))

    return [list_policies, read_policy]
