"""`/v1/policies`: which versions there are, in which stage, serving which model."""

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
from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
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


class PolicyAnswer(msgspec.Struct, frozen=True):
    """One policy: its versions, the manifest of the newest live one (of the newest otherwise), and its audit trail."""

    name: str
    versions: list[PolicyVersionAnswer]
    manifest: str
    trail: list[AuditEntry]


def describe_versions(engine: Engine, versions: Iterable[PolicyVersion]) -> list[PolicyVersionAnswer]:
    """The versions with their newest models, and what this process serves of them."""
    heads = {(model.lineage.policy, model.lineage.policy_version): model for model in engine.store.registry.heads()}
    served = {(policy.version.policy, policy.version.version): policy.model for policy in engine.serving.policies}
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


def _policy(engine: Engine, name: str) -> PolicyAnswer:
    registry = engine.store.registry
    # Looked up among all: a name from a URL may hold what the database cannot.
    versions = [version for version in registry.versions() if version.policy == name]
    if not versions:
        raise NotFound("policy", name[:64])
    live = [version for version in versions if version.stage is Stage.LIVE]
    return PolicyAnswer(
        name=name,
        versions=describe_versions(engine, versions),
        manifest=registry.manifest_text((live or versions)[-1].manifest_sha),
        trail=registry.trail(PolicyName(name)),
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
