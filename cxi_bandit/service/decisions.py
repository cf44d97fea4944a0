"""`/v1/decisions`: ask for one or many, read the receipt, say that one was shown."""

import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from hashlib import sha256
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import Scope
from msgspec import UNSET

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope as KeyScope
from cxi_bandit.domain.errors import CxiBanditError, InvalidInput, NotFound
from cxi_bandit.engine.ports import IdempotencyToken
from cxi_bandit.service.batches import commit_all, decode_items, decode_one, propose_all, would
from cxi_bandit.service.desk import Desk
from cxi_bandit.service.problems import problem
from cxi_bandit.service.receipts import Receipt, decision_named, receipt
from cxi_bandit.service.reply import Reply, json_reply
from cxi_bandit.service.requests import facts
from cxi_bandit.service.routing import body_of, declared, headers_of, in_thread, json_answer
from cxi_bandit.service.several import decided, previewed
from cxi_bandit.service.throttle import charge_items
from cxi_bandit.service.wire import (
    DecisionAnswer,
    DecisionBatchAnswer,
    DecisionBatchBody,
    DecisionBody,
    DecisionsAnswer,
    Problem,
)
from cxi_bandit.service.wording import answer
from cxi_bandit.settings import Settings

ONE_PATH: Final = "/v1/decisions"

_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?", re.IGNORECASE)
_TOKEN: Final = re.compile(r"^[\x21-\x7e]{1,255}$")
_HEADERS: Final = ("Idempotency-Key", "Prefer")


CommitOne = Callable[[Scope, bytes, DecisionBody], Awaitable[Reply]]


def one_commit(desk: Desk, settings: Settings) -> CommitOne:
    """How a decoded request is decided, made durable and answered, as its headers wish."""

    async def commit_one(scope: Scope, raw: bytes, body: DecisionBody) -> Reply:
        headers = headers_of(scope)
        token = _idempotency(headers, scope, raw)
        seconds = _deadline_seconds(headers, settings)
        if body.defects is not UNSET:
            charge_items(scope, len(body.defects))
            told, replayed = await decided(desk, desk.rank(body), token, seconds)
            facts(scope).update(request_id=told.request_id, decisions=len(told.decisions))
            return json_reply(told, 201, _REPLAYED) if replayed else json_reply(told, 201)
        proposed = (await desk.propose_within_caps(body) if desk.capped else desk.propose(body)).decision
        standing, replayed, durability = await desk.commit(proposed, token, seconds)
        facts(scope).update(
            decision_id=standing.decision_id,
            policy=standing.policy,
            intervention=standing.intervention,
            model_version=standing.model_version,
            durability=durability.value,
        )
        answered = answer(standing, durability)
        return json_reply(answered, 201, _REPLAYED) if replayed else json_reply(answered, 201)

    return commit_one


def decision_routes(
    engine: Engine, desk: Desk, commit_one: CommitOne, threads: Executor, settings: Settings
) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @post(
        ONE_PATH,
        opt=declared(
            KeyScope.DECIDE,
            "Decide what to do about one defect, or about the few of several most worth acting on",
            body=DecisionBody,
            answer=(DecisionAnswer, DecisionsAnswer),
            status=201,
            parameters=(*_HEADERS, "dry_run"),
        ),
    )
    async def decide_one(request: Request[Any, Any, Any]) -> ASGIResponse:
        raw = await body_of(request)
        body = decode_one(raw)
        if _dry_run(request):
            if body.defects is not UNSET:
                charge_items(request.scope, len(body.defects))
            return json_answer(await _previewed(desk, body), 201)
        return (await commit_one(request.scope, raw, body)).response()

    @post(
        "/v1/decisions/batch",
        opt=declared(
            KeyScope.DECIDE,
            "Decide about many defects, each with its own answer or problem",
            body=DecisionBatchBody,
            answer=DecisionBatchAnswer,
            parameters=(*_HEADERS, "dry_run"),
        ),
    )
    async def decide_many(request: Request[Any, Any, Any]) -> ASGIResponse:
        raw = await body_of(request)
        items = decode_items(raw)
        charge_items(request.scope, len(items))
        headers = headers_of(request.scope)
        token = _idempotency(headers, request.scope, raw)
        deadline_seconds = _deadline_seconds(headers, settings)
        dry_run = _dry_run(request)

        def failed(error: Exception) -> Problem:
            if not isinstance(error, CxiBanditError):  # its siblings are in the log, and must be answered
                facts(request.scope)["exc_info"] = error
            return problem(error)

        proposals = await propose_all(desk, items, request.scope, dry_run=dry_run)
        if dry_run:
            told = [await would(desk, one) for one in proposals]
        else:
            told = await commit_all(desk, proposals, token, deadline_seconds)
        answers = [failed(one) if isinstance(one, Exception) else one for one in told]
        facts(request.scope)["decisions"] = len(answers)
        return json_answer(DecisionBatchAnswer(answers), 200)

    @get(
        "/v1/decisions/{decision_id:str}",
        opt=declared(KeyScope.READ, "The receipt: all that is known of a decision", answer=Receipt),
    )
    async def read_receipt(decision_id: FromPath[str]) -> ASGIResponse:
        wanted = decision_named(decision_id)
        return json_answer(await in_thread(threads, lambda: receipt(engine, wanted)))

    @post(
        "/v1/decisions/{decision_id:str}/activation",
        opt=declared(KeyScope.DECIDE, "Say that the intervention was really shown", status=204),
    )
    async def activate(decision_id: FromPath[str]) -> Response[None]:
        wanted = decision_named(decision_id)
        if not await in_thread(threads, lambda: engine.store.decisions.activate(wanted, engine.clock())):
            raise NotFound("decision", decision_id)
        return Response(content=None, status_code=204)

    return [decide_one, decide_many, read_receipt, activate]


_REPLAYED: Final = {"Idempotent-Replayed": "true"}


async def _previewed(desk: Desk, body: DecisionBody) -> DecisionAnswer | DecisionsAnswer:
    if body.defects is not UNSET:
        return await previewed(desk, desk.rank(body))
    return desk.preview(await desk.propose_within_caps(body, dry_run=True))


def _dry_run(request: Request[Any, Any, Any]) -> bool:
    value = request.query_params.get("dry_run", "false")
    if value not in ("true", "false"):
        raise InvalidInput("dry_run", "the query parameter dry_run is true or false")
    return value == "true"


def _idempotency(headers: Mapping[bytes, bytes], scope: Scope, raw: bytes) -> IdempotencyToken | None:
    given = headers.get(b"idempotency-key")
    if given is None:
        return None
    key = given.decode("latin-1")
    if not _TOKEN.match(key):
        raise InvalidInput("Idempotency-Key", "the header Idempotency-Key holds 1 to 255 visible ASCII characters")
    return IdempotencyToken(scope["user"].name, key, sha256(raw).digest())


def _deadline_seconds(headers: Mapping[bytes, bytes], settings: Settings) -> float:
    """`Prefer: wait=<ms>`; a preference that cannot be read is ignored, as RFC 7240 asks."""
    preferred = headers.get(b"prefer")
    match = None if preferred is None else _WAIT.search(preferred.decode("latin-1"))
    wanted = int(match[1]) if match else settings.deadline_ms
    return min(max(wanted, 1), settings.deadline_limit_ms) / 1000
