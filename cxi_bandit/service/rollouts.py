"""`/v1/policies/{name}/rollbacks` and `/shadows`: what changes a roll-out and needs no report."""

from concurrent.futures import Executor
from typing import Any, Final

import msgspec
from litestar import Request, delete, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.rollback import RolledBack, revision_of, roll_back, roll_back_all
from cxi_bandit.engine.shadow import leave_shadow, shadow
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.promotions import Number, VersionNumber, known_policy
from cxi_bandit.service.routing import body_of, declared, in_thread, json_answer
from cxi_bandit.service.wire import Sentence


class RollbackBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, and where to: null ends a running canary, or else takes up what was live before.

    Attributes:
        seen: The revision that the caller has looked at: where others answer by now, nothing is done. Who asks again
            because an answer got lost would otherwise take back one thing more.
    """

    reason: Sentence
    seen: VersionNumber
    to: VersionNumber | None = None


class RollbackAllBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why everything is rolled back."""

    reason: Sentence


class ShadowBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version that is to score beside those who answer; its model as in `PromotionBody`."""

    version: VersionNumber
    model_version: Number | None = None


_ROLLBACK: Final = msgspec.json.Decoder(RollbackBody)
_ROLLBACK_ALL: Final = msgspec.json.Decoder(RollbackAllBody)
_SHADOW: Final = msgspec.json.Decoder(ShadowBody)


def rollout_routes(engine: Engine, threads: Executor) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""
    store = engine.store

    @post(
        "/v1/policies/{name:str}/rollbacks",
        opt=declared(
            Scope.APPROVE,
            "End the running canary, or take up again what was live before",
            body=RollbackBody,
            answer=Rollout,
            status=201,
        ),
    )
    async def roll_one_back(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        body = decode(_ROLLBACK, await body_of(request))

        def rolled_back() -> Rollout:
            seen, told = (
                revision_of(known_policy(engine, name), body.seen, store.releases),
                {"by": request.user.name, "reason": body.reason},
            )
            return looking_again(lambda: roll_back(seen, body.to, store.releases, at=engine.clock(), **told))

        return json_answer(await in_thread(threads, rolled_back), 201)

    @post(
        "/v1/rollbacks",
        opt=declared(
            Scope.APPROVE,
            "Roll back every policy of which something was live before",
            body=RollbackAllBody,
            answer=RolledBack,
            status=201,
        ),
    )
    async def roll_all_back(request: Request[Any, Any, Any]) -> ASGIResponse:
        body = decode(_ROLLBACK_ALL, await body_of(request))

        def rolled_back() -> RolledBack:
            return roll_back_all(store.releases, by=request.user.name, at=engine.clock(), reason=body.reason)

        return json_answer(await in_thread(threads, rolled_back), 201)

    @post(
        "/v1/policies/{name:str}/shadows",
        opt=declared(
            Scope.PROPOSE,
            "Let a version score beside those who answer",
            body=ShadowBody,
            answer=Rollout,
            status=201,
        ),
    )
    async def put_shadow(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        body = decode(_SHADOW, await body_of(request))

        def put() -> Rollout:
            policy, by = known_policy(engine, name), request.user.name
            model = None if body.model_version is None else ModelVersion(body.model_version)
            return looking_again(lambda: shadow(policy, body.version, model, by, engine.promoting, engine.clock()))

        return json_answer(await in_thread(threads, put), 201)

    @delete(
        "/v1/policies/{name:str}/shadows/{version:int}",
        status_code=200,
        opt=declared(Scope.PROPOSE, "Let a version score no more", answer=Rollout),
    )
    async def take_shadow(request: Request[Any, Any, Any], name: FromPath[str], version: FromPath[int]) -> ASGIResponse:
        def taken() -> Rollout:
            policy, by = known_policy(engine, name), request.user.name
            return looking_again(lambda: leave_shadow(policy, version, by, store.releases, engine.clock()))

        return json_answer(await in_thread(threads, taken))

    return [roll_one_back, roll_all_back, put_shadow, take_shadow]
