"""Looking for decisions. A shopper's own key stays in the request that brings it: addresses hold its hash."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, minted_at
from cxi_bandit.domain.search import Found
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.service.console.formats import words
from cxi_bandit.service.console.pages import Pages, shown_to
from cxi_bandit.service.console.security import PATH
from cxi_bandit.service.decoding import decode
from cxi_bandit.service.searches import SearchBody, searched

DECISIONS: Final = f"{PATH}/decisions"
_SHOPPER: Final = "shopper"
_SHOPPER_LENGTH: Final = 256
_TIMES: Final = ("since", "until")
_NAMES: Final = ("surface", "policy", "intervention", "before")
_IN_ADDRESSES: Final = ("id", "pseudonym", *_TIMES, *_NAMES)
_LABELS: Final = {
    "id": "Decision",
    _SHOPPER: "Shopper",
    "pseudonym": "Pseudonym",
    "since": "From",
    "until": "To",
    "surface": "Surface",
    "policy": "Policy",
    "intervention": "Intervention",
    "before": "Page",
}
_BODY: Final = msgspec.json.Decoder(SearchBody)


def search_pages(engine: Engine, pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    async def shown(request: HTMXRequest, given: dict[str, str]) -> Response[Any]:
        try:
            if "id" in given:
                return Redirect(_receipt(given), status_code=HTTP_303_SEE_OTHER)
            body = _body(given)
            found = await pages.in_thread(lambda: searched(engine, body))
        except InvalidInput as error:
            return await failed(request, given, error)
        return await pages.show(request, "search.html", lambda: {**_choices(engine), **_page(given, found)})

    async def failed(request: HTMXRequest, given: dict[str, str], error: InvalidInput) -> Response[str]:
        field = error.pointer.removeprefix("/")
        fault = {"field": field, "label": _LABELS.get(field, field), "detail": error.detail}
        context = {"given": given, "fault": fault, "found": None, "older": None, "back_to": None}
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return await pages.show(request, "search.html", lambda: {**_choices(engine), **context}, status=status)

    @get("/decisions", opt=shown_to(Scope.READ))
    async def find(request: HTMXRequest) -> Response[Any]:
        return await shown(request, _given(request.query_params))

    @post("/decisions", opt=shown_to(Scope.READ))
    async def ask(request: HTMXRequest) -> Response[Any]:
        sent = await request.form()
        given, shopper = _given(sent), str(sent.get(_SHOPPER, ""))
        if len(shopper) > _SHOPPER_LENGTH:
            error = InvalidInput(f"/{_SHOPPER}", f"must have at most {_SHOPPER_LENGTH} characters")
            return await failed(request, given, error)
        if shopper:
            given["pseudonym"] = pseudonym(engine.subject_key, shopper).hex()
        try:
            # Before it stands in an address: what is no id may be a shopper's key in the wrong field.
            if "id" in given:
                return Redirect(_receipt(given), status_code=HTTP_303_SEE_OTHER)
            _body(given)
        except InvalidInput as error:
            return await failed(request, given, error)
        return Redirect(_address(given), status_code=HTTP_303_SEE_OTHER)

    return [find, ask]


def _given(sent: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the form's fields, those left empty apart."""
    return {name: text for name in _IN_ADDRESSES if (text := str(sent.get(name, "")).strip())}


def _address(given: Mapping[str, str]) -> str:
    return f"{DECISIONS}?{urlencode(given)}" if given else DECISIONS


def _receipt(given: Mapping[str, str]) -> str:
    try:
        return f"{DECISIONS}/{UUID(given['id'])}"
    except ValueError as error:
        raise InvalidInput("/id", "is no decision id, such as 0192f0c4-6d55-7000-8000-5ca1ab1e0001") from error


def _body(given: Mapping[str, str]) -> SearchBody:
    """The same message that programs send, held against the same rules."""
    sent: dict[str, object] = {name: given[name] for name in _NAMES if name in given}
    sent |= {name: _moment(name, given[name]) for name in _TIMES if name in given}
    if "pseudonym" in given:
        try:
            sent["pseudonym"] = bytes.fromhex(given["pseudonym"])
        except ValueError as error:
            raise InvalidInput("/pseudonym", "is no pseudonym: 64 hexadecimal digits") from error
    return decode(_BODY, msgspec.json.encode(sent))


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"/{name}", "is no time such as 2026-11-20T08:00, in UTC") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _choices(engine: Engine) -> dict[str, object]:
    """What there is to choose from, by the manifests."""
    versions = engine.store.registry.versions()
    manifests = [engine.manifests.by_sha(sha) for sha in dict.fromkeys(version.manifest_sha for version in versions)]
    return {
        "policies": _options(sorted({version.policy for version in versions})),
        "surfaces": _options(sorted({manifest.surface for manifest in manifests})),
        "interventions": _options(dict.fromkeys(name for manifest in manifests for name in manifest.catalogue)),
    }


def _options(names: Iterable[str]) -> list[tuple[str, str]]:
    return [("", "any"), *((name, words(name)) for name in names)]


def _page(given: dict[str, str], found: Found) -> dict[str, object]:
    older = None if found.before is None else _address({**given, "before": str(found.before)})
    back_to = None if found.before is None else minted_at(DecisionId(found.before))
    return {"given": given, "fault": None, "found": found, "older": older, "back_to": back_to}
