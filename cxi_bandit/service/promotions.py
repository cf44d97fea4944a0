"""`/v1/policies/{name}/promotions`: what is proposed, on which report, and who approves it."""

from concurrent.futures import Executor
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from msgspec import Meta

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.candidacy import Proposal
from cxi_bandit.engine.promote import approve, propose, refuse
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.requests import facts
from cxi_bandit.service.routing import body_of, declared, in_thread, json_answer
from cxi_bandit.service.wire import Sentence, Word

_GREATEST_INT: Final = 2**31 - 1
_GREATEST_ID: Final = 2**63 - 1
VersionNumber = Annotated[int, Meta(ge=1, le=_GREATEST_INT)]
Number = Annotated[int, Meta(ge=1, le=_GREATEST_ID)]


class PromotionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version with a model, and the report that says go for exactly this pair.

    Attributes:
        model_version: Null for the head of a version that learns continuously, or else for the cold start.
        evaluation: The report's id.
        defects: The defect types it is about; empty for all.
    """

    version: VersionNumber
    model_version: Number | None
    evaluation: Number
    defects: Annotated[list[Word], Meta(max_length=256)] = []


class RefusalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a promotion is not to be."""

    reason: Sentence


class PromotionsAnswer(msgspec.Struct, frozen=True):
    """A policy's promotions, oldest first."""

    promotions: list[Promotion]


_PROMOTION: Final = msgspec.json.Decoder(PromotionBody)
_REFUSAL: Final = msgspec.json.Decoder(RefusalBody)


def known_policy(engine: Engine, name: str) -> PolicyName:
    """The policy of this name, looked up among all: a name from a URL may hold what the database cannot.

    Raises:
        NotFound: There is none.
    """
    if not any(version.policy == name for version in engine.store.registry.versions()):
        raise NotFound("policy", name[:64])
    return PolicyName(name)


def promotion_routes(engine: Engine, threads: Executor) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""
    store = engine.store

    def promotion_of(name: str, promotion_id: int) -> Promotion:
        policy = known_policy(engine, name)
        if 1 <= promotion_id <= _GREATEST_ID and (found := store.releases.promotion(promotion_id)).policy == policy:
            return found
        raise NotFound("promotion", f"{promotion_id} of {policy}")

    @get(
        "/v1/policies/{name:str}/promotions",
        opt=declared(Scope.READ, "A policy's promotions", answer=PromotionsAnswer),
    )
    async def list_promotions(name: FromPath[str]) -> ASGIResponse:
        found = await in_thread(threads, lambda: store.releases.promotions(known_policy(engine, name)))
        return json_answer(PromotionsAnswer(found))

    @get(
        "/v1/policies/{name:str}/promotions/{promotion_id:int}",
        opt=declared(Scope.READ, "One promotion", answer=Promotion),
    )
    async def read_promotion(name: FromPath[str], promotion_id: FromPath[int]) -> ASGIResponse:
        return json_answer(await in_thread(threads, lambda: promotion_of(name, promotion_id)))

    @post(
        "/v1/policies/{name:str}/promotions",
        opt=declared(
            Scope.PROPOSE,
            "Propose a version and a model on a report that says go",
            body=PromotionBody,
            answer=Promotion,
            status=201,
        ),
    )
    async def propose_one(request: Request[Any, Any, Any], name: FromPath[str]) -> ASGIResponse:
        body = decode(_PROMOTION, await body_of(request))

        def proposed() -> Promotion:
            model = body.model_version
            asked = Proposal(
                policy=known_policy(engine, name),
                version=body.version,
                model=None if model is None else ModelVersion(model),
                evaluation_id=body.evaluation,
                author=request.user.name,
                defects=tuple(body.defects),
            )
            return propose(asked, engine.promoting, engine.clock())

        return _told(request, await in_thread(threads, proposed))

    @post(
        "/v1/policies/{name:str}/promotions/{promotion_id:int}/approval",
        opt=declared(Scope.APPROVE, "Approve a promotion: its canary begins", answer=Promotion, status=201),
    )
    async def approve_one(
        request: Request[Any, Any, Any], name: FromPath[str], promotion_id: FromPath[int]
    ) -> ASGIResponse:
        def approved() -> Promotion:
            number, by = promotion_of(name, promotion_id).promotion_id, request.user.name
            return looking_again(lambda: approve(number, by, engine.promoting, engine.clock()))

        return _told(request, await in_thread(threads, approved))

    @post(
        "/v1/policies/{name:str}/promotions/{promotion_id:int}/refusal",
        opt=declared(
            Scope.APPROVE,
            "Refuse a promotion before any shopper has met it",
            body=RefusalBody,
            answer=Promotion,
            status=201,
        ),
    )
    async def refuse_one(
        request: Request[Any, Any, Any], name: FromPath[str], promotion_id: FromPath[int]
    ) -> ASGIResponse:
        body = decode(_REFUSAL, await body_of(request))

        def refused() -> Promotion:
            seen, by = promotion_of(name, promotion_id), request.user.name
            return refuse(seen, body.reason, by, store.releases, engine.clock())

        return _told(request, await in_thread(threads, refused))

    return [list_promotions, read_promotion, propose_one, approve_one, refuse_one]


def _told(request: Request[Any, Any, Any], promotion: Promotion) -> ASGIResponse:
    facts(request.scope)["promotion"] = promotion.promotion_id
    return json_answer(promotion, 201)
