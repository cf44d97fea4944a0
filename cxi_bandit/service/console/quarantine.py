"""What was kept and not counted, to be looked at, released or discarded; and the decisions that were set aside."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.datastructures import FormMultiDict, MultiDict
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.htmx import HTMXRequest
from msgspec import Meta

from cxi_bandit.bootstrap import Engine
from cxi_bandit.bootstrap.amending import amend
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, minted_at
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.quarantine import Amended, Quarantined, QuarantineState, Verb
from cxi_bandit.engine.quarantine import numbered, quarantine_page
from cxi_bandit.engine.search import LOOK
from cxi_bandit.service.console.pages import Pages, shown_to
from cxi_bandit.service.console.reading import number_asked, number_written, sentence
from cxi_bandit.service.console.security import PATH
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.requests import facts

QUARANTINE: Final = f"{PATH}/quarantine"
_ON_A_PAGE: Final = 50
_EVERY: Final = "all"
_FILTERS: Final = ("state", "policy", "source", "metric")
_STATES: Final = (
    (QuarantineState.OPEN.value, "waiting for a word"),
    (QuarantineState.RELEASED.value, "released"),
    (QuarantineState.DISCARDED.value, "discarded"),
    (_EVERY, "all"),
)
_SET_ASIDE: Final = {
    OutcomeStanding.ABANDONED: "its answer came too late for anybody to see it",
    OutcomeStanding.ALIAS: "an earlier decision stands for the same Idempotency-Key",
}

Sent = MultiDict[Any] | FormMultiDict


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of which rewards, and why. Without a value, a release counts the nearest that is allowed."""

    verb: Verb
    number: Annotated[list[int], Meta(min_length=1, max_length=_ON_A_PAGE)]
    reason: str = ""
    value: float | None = None


_SAID: Final = msgspec.json.Decoder(Said)


def quarantine_pages(engine: Engine, pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""
    store = engine.store
    parts = (store.decisions, store.ledger, engine.manifests)

    @get("/quarantine", opt=shown_to(Scope.READ))
    async def look(request: HTMXRequest) -> Response[str]:
        given = {name: text for name in _FILTERS if (text := request.query_params.get(name, "").strip())}
        after = number_asked(request, "after") or 0

        def read() -> dict[str, object]:
            page = quarantine_page(after, _ON_A_PAGE, *parts, lambda reward: _fits(reward, given))
            further = None if page.after is None else f"{QUARANTINE}?{urlencode({**given, 'after': page.after})}"
            return {"page": page, "given": given, "states": _STATES, "further": further, "started": after > 0}

        return await pages.show(request, "quarantine.html", read)

    @get("/quarantine/decisions", opt=shown_to(Scope.READ))
    async def set_aside(request: HTMXRequest) -> Response[str]:
        before = _decision("before", request.query_params.get("before"))

        def read() -> dict[str, object]:
            page = store.decisions.set_asides(before, _ON_A_PAGE, LOOK)
            rows = [(name, minted_at(name), _SET_ASIDE[why]) for name, why in page.decisions]
            further = None if page.before is None else f"{QUARANTINE}/decisions?before={page.before}"
            return {"rows": rows, "further": further}

        return await pages.show(request, "set_asides.html", read)

    async def asked(request: HTMXRequest, sent: Sent, body: Said, fault: InvalidInput | None = None) -> Response[str]:
        def read() -> dict[str, object]:
            told = {name: str(sent.get(name, "")) for name in ("value", "reason")}
            return {"rewards": numbered(body.number, *parts), "verb": body.verb.value, "given": told, "fault": fault}

        status = HTTPStatus.OK if fault is None else HTTPStatus.UNPROCESSABLE_ENTITY
        return await pages.show(request, "quarantine_amend.html", read, status=status)

    @get("/quarantine/amend", opt=shown_to(Scope.APPROVE))
    async def ask(request: HTMXRequest) -> Response[str]:
        sent = request.query_params
        return await asked(request, sent, _selection(sent))

    @post("/quarantine/amend", status_code=HTTPStatus.OK, opt=shown_to(Scope.APPROVE))
    async def do(request: HTMXRequest) -> Response[str]:
        sent = await request.form()
        selection = _selection(sent)
        try:
            body = _body(selection, sent)
        except InvalidInput as fault:
            return await asked(request, sent, selection, fault)

        def amended() -> Amended:
            rewards = numbered(body.number, *parts)
            return amend(engine, body.verb, rewards, request.user.name, value=body.value, reason=body.reason)

        made = await pages.in_thread(amended)
        facts(request.scope).update(quarantine=body.verb.value, rewards=len(made.amended))
        left = [str(error).removeprefix("--") for error in made.refused]
        context: Mapping[str, object] = {"verb": body.verb.value, "made": made, "left": left}
        done = made.amended or made.unchanged
        status = HTTPStatus.OK if done else HTTPStatus.UNPROCESSABLE_ENTITY
        return await pages.show(request, "quarantine_amended.html", lambda: context, status=status)

    return [look, set_aside, ask, do]


def _fits(reward: Quarantined, given: Mapping[str, str]) -> bool:
    event = reward.entry.event
    return (
        given.get("state", QuarantineState.OPEN.value) in (_EVERY, reward.state.value)
        and given.get("policy") in (None, reward.policy)
        and given.get("source") in (None, event.source)
        and given.get("metric") in (None, event.metric)
    )


def _selection(sent: Sent) -> Said:
    """What is to be said of which, its reason apart."""
    numbers = [number_written(text, "number") for text in sent.getall("number", [])]
    if not numbers:
        raise InvalidInput("/number", "tick at least one reward on the page before")
    return decode(_SAID, msgspec.json.encode({"verb": sent.get("verb", ""), "number": numbers}))


def _body(selection: Said, sent: Sent) -> Said:
    value = str(sent.get("value", "")).strip()
    counts_as = _number("value", value) if value and selection.verb is Verb.RELEASE else None
    reason = sentence({"reason": str(sent.get("reason", ""))}, "reason")
    return msgspec.structs.replace(selection, reason=reason, value=counts_as)


def _number(field: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"/{field}", "must be a number such as 0.5, or empty for the nearest value allowed")
    return value


def _decision(field: str, text: str | None) -> DecisionId | None:
    try:
        return None if text is None else DecisionId(UUID(text))
    except ValueError as error:
        raise InvalidInput(f"/{field}", "is no decision id; begin with the newest again") from error
