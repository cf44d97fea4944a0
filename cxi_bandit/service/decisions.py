"""`/v1/decisions`: ask for one or many, read the receipt, say that one was shown."""

import asyncio
import re
from concurrent.futures import Executor
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from msgspec import UNSET

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import CxiBanditError, InvalidInput, NotFound
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.ports import IdempotencyToken
from cxi_bandit.service.answering import Asked, DefectCount, answered
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.desk import Desk
from cxi_bandit.service.problems import problem
from cxi_bandit.service.receipts import Receipt, receipt
from cxi_bandit.service.requests import facts
from cxi_bandit.service.routing import body_of, declared, in_thread, json_answer
from cxi_bandit.service.throttle import charge_items
from cxi_bandit.service.wire import (
    DecisionAnswer,
    DecisionBatchAnswer,
    DecisionBatchBody,
    DecisionBody,
    DecisionsAnswer,
    Problem,
)
from cxi_bandit.settings import Settings

_ONE: Final = msgspec.json.Decoder(DecisionBody)
_BATCH: Final = msgspec.json.Decoder(DecisionBatchBody)
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?", re.IGNORECASE)
_TOKEN: Final = re.compile(r"^[\x21-\x7e]{1,255}$")
_HEADERS: Final = ("Idempotency-Key", "Prefer")


def decision_routes(engine: Engine, desk: Desk, threads: Executor, settings: Settings) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @post(
        "/v1/decisions",
        opt=declared(
            Scope.DECIDE,
            "Decide what to do about one defect, or about the few of several most worth acting on",
            body=DecisionBody,
            answer=(DecisionAnswer, DecisionsAnswer),
            status=201,
            parameters=(*_HEADERS, "dry_run"),
        ),
    )
    async def decide_one(request: Request[Any, Any, Any]) -> ASGIResponse:
        raw = await body_of(request)
        body = decode(_ONE, raw)
        charge_items(request.scope, 1 if body.defects is UNSET else len(body.defects))
        told = await answered(desk, body, _asked(request, raw, settings))
        facts(request.scope).update(told.facts)
        return json_answer(told.message, 201, _REPLAYED if told.replayed else None)

    @post(
        "/v1/decisions/batch",
        opt=declared(
            Scope.DECIDE,
            "Decide about many defects, each with its own answer or problem",
            body=DecisionBatchBody,
            answer=DecisionBatchAnswer,
            parameters=(*_HEADERS, "dry_run"),
        ),
    )
    async def decide_many(request: Request[Any, Any, Any]) -> ASGIResponse:
        raw = await body_of(request)
        items = decode(_BATCH, raw, parts=True).decisions
        charge_items(request.scope, len(items))
        asked = _asked(request, raw, settings)
        counted = DefectCount()

        async def one(index: int, item: msgspec.Raw) -> DecisionAnswer | DecisionsAnswer | Problem:
            try:
                body = decode(_ONE, item)
                counted.add(body)
                return (await answered(desk, body, _of_item(asked, index))).message
            except CxiBanditError as error:
                return problem(error)
            except Exception as error:  # noqa: BLE001 - its siblings are in the log, and must be answered
                facts(request.scope)["exc_info"] = error
                return problem(error)

        answers = await asyncio.gather(*(one(index, item) for index, item in enumerate(items)))
        facts(request.scope)["decisions"] = len(answers)
        return json_answer(DecisionBatchAnswer(answers), 200)

    @get(
        "/v1/decisions/{decision_id:str}",
        opt=declared(Scope.READ, "The receipt: all that is known of a decision", answer=Receipt),
    )
    async def read_receipt(decision_id: FromPath[str]) -> ASGIResponse:
        wanted = _decision_id(decision_id)
        return json_answer(await in_thread(threads, lambda: receipt(engine, wanted)))

    @post(
        "/v1/decisions/{decision_id:str}/activation",
        opt=declared(Scope.DECIDE, "Say that the intervention was really shown", status=204),
    )
    async def activate(decision_id: FromPath[str]) -> Response[None]:
        wanted = _decision_id(decision_id)
        if not await in_thread(threads, lambda: engine.store.decisions.activate(wanted, engine.clock())):
            raise NotFound("decision", decision_id)
        return Response(content=None, status_code=204)

    return [decide_one, decide_many, read_receipt, activate]


_REPLAYED: Final = {"Idempotent-Replayed": "true"}


def _decision_id(text: str) -> DecisionId:
    try:
        return DecisionId(UUID(text))
    except ValueError as error:
        raise NotFound("decision", text[:64]) from error


def _dry_run(request: Request[Any, Any, Any]) -> bool:
    value = request.query_params.get("dry_run", "false")
    if value not in ("true", "false"):
        raise InvalidInput("dry_run", "the query parameter dry_run is true or false")
    return value == "true"


def _idempotency(request: Request[Any, Any, Any], raw: bytes) -> IdempotencyToken | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not _TOKEN.match(key):
        raise InvalidInput("Idempotency-Key", "the header Idempotency-Key holds 1 to 255 visible ASCII characters")
    return IdempotencyToken(request.user.name, key, sha256(raw).digest())


def _asked(request: Request[Any, Any, Any], raw: bytes, settings: Settings) -> Asked:
    return Asked(_idempotency(request, raw), _deadline_seconds(request, settings), _dry_run(request))


def _of_item(asked: Asked, index: int) -> Asked:
    """A batch's key covers its whole body; its items have keys of their own, made from it."""
    token = asked.idempotency
    if token is None:
        return asked
    return asked._replace(idempotency=msgspec.structs.replace(token, key=f"{token.key} {index}"))


def _deadline_seconds(request: Request[Any, Any, Any], settings: Settings) -> float:
    """`Prefer: wait=<ms>`; a preference that cannot be read is ignored, as RFC 7240 asks."""
    match = _WAIT.search(request.headers.get("prefer", ""))
    wanted = int(match[1]) if match else settings.deadline_ms
    return min(max(wanted, 1), settings.deadline_limit_ms) / 1000
