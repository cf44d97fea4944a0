"""`/v1/decisions`: ask for one or many, read the receipt, say that one was shown."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import Scope

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope as KeyScope
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import CxiBanditError, InvalidInput, NotFound
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.ports import IdempotencyToken
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.desk import Answered, Desk, answer, preview
from cxi_bandit.service.problems import problem
from cxi_bandit.service.receipts import Receipt, receipt
from cxi_bandit.service.reply import Reply, json_reply
from cxi_bandit.service.requests import facts
from cxi_bandit.service.routing import body_of, declared, headers_of, in_thread, json_answer
from cxi_bandit.service.throttle import charge_items
from cxi_bandit.service.wire import (
    DecisionAnswer,
    DecisionBatchAnswer,
    DecisionBatchBody,
    DecisionBody,
    Problem,
)
from cxi_bandit.settings import Settings

ONE_PATH: Final = "/v1/decisions"

_ONE: Final = msgspec.json.Decoder(DecisionBody)
_BATCH: Final = msgspec.json.Decoder(DecisionBatchBody)
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?", re.IGNORECASE)
_TOKEN: Final = re.compile(r"^[\x21-\x7e]{1,255}$")
_ONE_TURN: Final = 32
_HEADERS: Final = ("Idempotency-Key", "Prefer")


CommitOne = Callable[[Scope, bytes, Decision], Awaitable[Reply]]


def one_commit(desk: Desk, settings: Settings) -> CommitOne:
    """How a proposed decision is made durable and answered, as the request's headers wish."""

    async def commit_one(scope: Scope, raw: bytes, proposed: Decision) -> Reply:
        headers = headers_of(scope)
        try:
            token = _idempotency(headers, scope, raw)
        except InvalidInput:
            desk.withdraw([proposed])
            raise
        standing, replayed, durability = await desk.commit(proposed, token, _deadline_seconds(headers, settings))
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


def decode_one(raw: bytes | msgspec.Raw) -> DecisionBody:
    """The body of `POST /v1/decisions`, or an item of a batch.

    Raises:
        InvalidInput: Names the field at fault.
    """
    return decode(_ONE, raw)


def decision_routes(
    engine: Engine, desk: Desk, commit_one: CommitOne, threads: Executor, settings: Settings
) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @post(
        ONE_PATH,
        opt=declared(
            KeyScope.DECIDE,
            "Decide what to do about one defect",
            body=DecisionBody,
            answer=DecisionAnswer,
            status=201,
            parameters=(*_HEADERS, "dry_run"),
        ),
    )
    async def decide_one(request: Request[Any, Any, Any]) -> ASGIResponse:
        raw = await body_of(request)
        dry_run = _dry_run(request)
        proposed = await _proposed(desk, raw, dry_run=dry_run)
        if dry_run:
            return json_answer(preview(proposed), 201)
        return (await commit_one(request.scope, raw, proposed)).response()

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
        items = decode(_BATCH, raw, parts=True).decisions
        charge_items(request.scope, len(items))
        headers = headers_of(request.scope)
        token = _idempotency(headers, request.scope, raw)
        deadline_seconds = _deadline_seconds(headers, settings)
        dry_run = _dry_run(request)

        def failed(error: Exception) -> Problem:
            if not isinstance(error, CxiBanditError):  # its siblings are in the log, and must be answered
                facts(request.scope)["exc_info"] = error
            return problem(error)

        proposals = await _propose_all(desk, items, dry_run=dry_run)
        proposed = [one for one in proposals if isinstance(one, Decision)]
        if dry_run:
            settled: Iterable[DecisionAnswer | Problem] = map(preview, proposed)
        else:
            found = await _commit_all(desk, proposals, token, deadline_seconds)
            settled = [
                failed(one) if isinstance(one, Exception) else answer(one.decision, one.durability) for one in found
            ]
        following = iter(settled)
        answers = [next(following) if isinstance(one, Decision) else failed(one) for one in proposals]
        facts(request.scope)["decisions"] = len(answers)
        return json_answer(DecisionBatchAnswer(answers), 200)

    @get(
        "/v1/decisions/{decision_id:str}",
        opt=declared(KeyScope.READ, "The receipt: all that is known of a decision", answer=Receipt),
    )
    async def read_receipt(decision_id: FromPath[str]) -> ASGIResponse:
        wanted = _decision_id(decision_id)
        return json_answer(await in_thread(threads, lambda: receipt(engine, wanted)))

    @post(
        "/v1/decisions/{decision_id:str}/activation",
        opt=declared(KeyScope.DECIDE, "Say that the intervention was really shown", status=204),
    )
    async def activate(decision_id: FromPath[str]) -> Response[None]:
        wanted = _decision_id(decision_id)
        if not await in_thread(threads, lambda: engine.store.decisions.activate(wanted, engine.clock())):
            raise NotFound("decision", decision_id)
        return Response(content=None, status_code=204)

    return [decide_one, decide_many, read_receipt, activate]


async def _proposed(desk: Desk, raw: bytes | msgspec.Raw, *, dry_run: bool) -> Decision:
    body = decode_one(raw)
    if desk.capped:
        return await desk.propose_within_caps(body, dry_run=dry_run)
    return desk.propose(body, dry_run=dry_run)


async def _propose_all(desk: Desk, items: Sequence[msgspec.Raw], *, dry_run: bool) -> list[Decision | Exception]:
    """Decides about each, or says why not; and lets others have their turn in between.

    Those that need permits ask for them together.
    """
    proposals: dict[int, Decision | Exception] = {}

    async def one(index: int, item: msgspec.Raw) -> None:
        try:
            proposals[index] = await _proposed(desk, item, dry_run=dry_run)
        except Exception as error:  # noqa: BLE001 - one that fails must spoil no other
            proposals[index] = error

    try:
        if desk.capped:
            await asyncio.gather(*[one(index, item) for index, item in enumerate(items)])
        else:
            for index, item in enumerate(items):
                await one(index, item)
                if index % _ONE_TURN == _ONE_TURN - 1:
                    await asyncio.sleep(0)
    except BaseException:
        desk.withdraw([made for made in proposals.values() if isinstance(made, Decision)])
        raise
    return [proposals[index] for index in range(len(items))]


async def _commit_all(
    desk: Desk, proposals: Sequence[Decision | Exception], token: IdempotencyToken | None, deadline_seconds: float
) -> Sequence[Answered | Exception]:
    """What becomes of each that was decided, in order. Each item of a request with a key has a key of its own."""
    if token is None:
        return await desk.commit_many([one for one in proposals if isinstance(one, Decision)], deadline_seconds)

    async def one(index: int, proposed: Decision) -> Answered | Exception:
        try:
            own = msgspec.structs.replace(token, key=f"{token.key} {index}")
            return await desk.commit(proposed, own, deadline_seconds)
        except Exception as error:  # noqa: BLE001 - as above
            return error

    return await asyncio.gather(
        *[one(index, proposed) for index, proposed in enumerate(proposals) if isinstance(proposed, Decision)]
    )


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
