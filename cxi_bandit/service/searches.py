"""`/v1/decisions/search`: decisions of the log, newest first, a page at a time."""

from concurrent.futures import Executor
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from msgspec import UNSET, Meta, UnsetType

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision, Fallback, Stage
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, PolicyName
from cxi_bandit.domain.search import Found, Wanted
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.search import MOST, search
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.requests import facts
from cxi_bandit.service.routing import body_of, declared, in_thread, json_answer
from cxi_bandit.service.wire import AwareTime, Identifier, Word

USUAL: Final = 50
PSEUDONYM_BYTES: Final = 32


class SearchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is looked for; what is left out, it is about all of.

    Attributes:
        subject: The shopper's own key. It is pseudonymised at once and kept nowhere.
        pseudonym: In its place, as a receipt shows it.
        since: Decided then or later.
        until: Decided earlier.
        before: Of the last answer, to go on.
    """

    subject: Identifier | None = None
    pseudonym: Annotated[bytes, Meta(min_length=PSEUDONYM_BYTES, max_length=PSEUDONYM_BYTES)] | None = None
    since: AwareTime | None = None
    until: AwareTime | None = None
    surface: Word | None = None
    policy: Word | None = None
    intervention: Word | None = None
    before: UUID | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = USUAL


class FoundDecision(msgspec.Struct, frozen=True):
    """A line about a decision; the rest stands in its receipt."""

    decision_id: UUID
    decided_at: datetime
    policy: str
    policy_version: int
    model_version: int | None
    stage: Stage
    surface: str
    defect: str
    intervention: str
    propensity: float
    pseudonym: bytes | None
    fallback: Fallback | UnsetType = UNSET
    arm: Arm | UnsetType = UNSET
    override_id: int | UnsetType = UNSET


class SearchAnswer(msgspec.Struct, frozen=True):
    """A page. `before`, sent back, goes on from there; null when there is no more.

    A search looks at a bounded number of decisions at a time, so a page may hold less than asked for, even nothing, and
    there may be more all the same.
    """

    decisions: list[FoundDecision]
    before: UUID | None


_SEARCH: Final = msgspec.json.Decoder(SearchBody)


def searched(engine: Engine, body: SearchBody) -> Found:
    """What the body asks for.

    Raises:
        InvalidInput: It names the shopper twice, or cannot be fulfilled.
    """
    if body.subject is not None and body.pseudonym is not None:
        raise InvalidInput("/pseudonym", "name the shopper by subject or by pseudonym, not by both")
    named = body.pseudonym if body.subject is None else pseudonym(engine.subject_key, body.subject)
    wanted = Wanted(
        since=body.since,
        until=body.until,
        subject=named,
        surface=body.surface,
        policy=None if body.policy is None else PolicyName(body.policy),
        intervention=None if body.intervention is None else InterventionId(body.intervention),
    )
    before = None if body.before is None else DecisionId(body.before)
    return search(wanted, before, body.limit, engine.store.decisions, engine.store.registry)


def search_routes(engine: Engine, threads: Executor) -> list[HTTPRouteHandler]:
    """The handler, closed over what it needs."""

    @post(
        "/v1/decisions/search",
        status_code=200,
        opt=declared(Scope.READ, "Search the decisions, newest first", body=SearchBody, answer=SearchAnswer),
    )
    async def search_decisions(request: Request[Any, Any, Any]) -> ASGIResponse:
        body = decode(_SEARCH, await body_of(request))
        found = await in_thread(threads, lambda: searched(engine, body))
        facts(request.scope)["decisions"] = len(found.decisions)
        return json_answer(SearchAnswer(list(map(_line, found.decisions)), found.before))

    return [search_decisions]


def _line(decision: Decision) -> FoundDecision:
    return FoundDecision(
        decision.decision_id,
        decision.decided_at,
        decision.policy,
        decision.policy_version,
        decision.model_version,
        decision.stage,
        decision.surface,
        decision.situation.defect.type,
        decision.intervention,
        decision.propensity,
        decision.subject,
        UNSET if decision.fallback is None else decision.fallback,
        UNSET if decision.assignment is None else decision.assignment.arm,
        UNSET if decision.override_id is None else decision.override_id,
    )
