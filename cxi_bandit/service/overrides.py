"""`/v1/policies/{name}/overrides` and `/v1/halt`: a person pins an intervention, or halts, and lifts it again."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.decision import FeatureValue
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.engine.override import halt, lift, pin
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.promotions import known_policy
from cxi_bandit.service.requests import facts
from cxi_bandit.service.routing import body_of, declared, in_thread, json_answer
from cxi_bandit.service.wire import AwareTime, Sentence, Word


class OverrideBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is pinned, where, why and until when; what is left out, it is about all of.

    Attributes:
        segment: Context features that must all have these very values.
        expires_at: At most 90 days ahead.
    """

    intervention: Word
    reason: Sentence
    expires_at: AwareTime
    surface: Word | None = None
    defect: Word | None = None
    segment: dict[Word, FeatureValue] = {}


class HaltBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why everything goes to `hold`; of one policy, or with null of all."""

    reason: Sentence
    policy: Word | None = None


class OverridesAnswer(msgspec.Struct, frozen=True):
    """What stands now: the policy's own pins and halts, and halts about all policies."""

    overrides: list[Override]


_OVERRIDE: Final = msgspec.json.Decoder(OverrideBody)
_HALT: Final = msgspec.json.Decoder(HaltBody)


def standing(engine: Engine, policy: PolicyName | None) -> list[Override]:
    """The overrides in force that are about a policy, halts of everything among them; None for those alone."""
    now = engine.clock()
    known = engine.store.releases.overrides()
    return [one for one in known if one.policy in (None, policy) and one.stands_at(now)]


def override_routes(engine: Engine, threads: Executor) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""
    store = engine.store

    async def lifted(request: Request[Any, Any, Any], number: int, fits: Callable[[Override], bool]) -> ASGIResponse:
        def lift_one() -> Override:
            known = store.releases.overrides(standing=False)
            if not any(one.override_id == number and fits(one) for one in known):
                raise NotFound("override", str(number))
            return lift(number, request.user.name, store.releases, engine.clock())

        return _told(request, await in_thread(threads, lift_one), 200)

    @get(
        "/v1/policies/{name:str}/overrides",
        opt=declared(Scope.READ, "The overrides that stand", answer=OverridesAnswer),
    )
    async def list_overrides(name: FromPath[str]) -> ASGIResponse:
        found = await in_thread(threads, lambda: standing(engine, known_policy(engine, name)))
        return json_answer(OverridesAnswer(found))

    @post(
        "/v1/policies/{name:str}/overrides",
        opt=declared(Scope.APPROVE, "Pin an intervention", body=OverrideBody, answer=Override, status=201),
    )
    async def pin_one(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        body = decode(_OVERRIDE, await body_of(request))

        def pinned() -> Override:
            asked = Override(
                intervention=InterventionId(body.intervention),
                author=request.user.name,
                reason=body.reason,
                made_at=engine.clock(),
                expires_at=body.expires_at,
                policy=known_policy(engine, name),
                surface=body.surface,
                defect=body.defect,
                segment=body.segment,
            )
            return pin(asked, store.registry, store.releases, engine.manifests)

        return _told(request, await in_thread(threads, pinned), 201)

    @post(
        "/v1/policies/{name:str}/overrides/{override_id:int}/lift",
        status_code=200,
        opt=declared(Scope.APPROVE, "Lift a pin", answer=Override),
    )
    async def lift_pin(
        request: Request[Any, Any, Any], name: FromPath[str], override_id: FromPath[int]
    ) -> ASGIResponse:
        return await lifted(request, override_id, lambda one: one.policy == name and not one.halts)

    @post(
        "/v1/halt",
        opt=declared(Scope.APPROVE, "Send everything to hold", body=HaltBody, answer=Override, status=201),
    )
    async def halt_now(request: Request[Any, Any, Any]) -> ASGIResponse:
        body = decode(_HALT, await body_of(request))

        def halted() -> Override:
            policy = None if body.policy is None else known_policy(engine, body.policy)
            return halt(policy, request.user.name, body.reason, store.releases, engine.clock())

        return _told(request, await in_thread(threads, halted), 201)

    @post(
        "/v1/halt/{override_id:int}/lift",
        status_code=200,
        opt=declared(Scope.APPROVE, "Lift a halt", answer=Override),
    )
    async def lift_halt(request: Request[Any, Any, Any], override_id: FromPath[int]) -> ASGIResponse:
        return await lifted(request, override_id, lambda one: one.halts)

    return [list_overrides, pin_one, lift_pin, halt_now, lift_halt]


def _told(request: Request[Any, Any, Any], override: Override, status: int) -> ASGIResponse:
    facts(request.scope)["override"] = override.override_id
    return json_answer(override, status)
