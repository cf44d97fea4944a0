"""What browsers are told about the console, and what of their requests never reaches a page."""

from collections.abc import Callable, Iterator

import pytest
from litestar import Litestar, get
from litestar._parsers import parse_url_encoded_form_data
from litestar.handlers import HTTPRouteHandler
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

import cxi_bandit.service.console.routes
import cxi_bandit.service.console.security
from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput, NotFound, Unavailable, WrongStep
from cxi_bandit.domain.gate import Reason, RefusedByGate, Ruling
from cxi_bandit.service.app import create_app
from cxi_bandit.service.console.pages import shown_to
from cxi_bandit.service.console.security import CONTENT_SECURITY_POLICY, CSRF_COOKIE, HEADERS
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.browser import Browser
from tests.security.matrix import add_key, session
from tests.security.raw import RawClient

SignedIn = Callable[..., Browser]


@pytest.fixture
def local(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> Iterator[TestClient[Litestar]]:
    """A client of a service in development mode, on its own machine."""
    app = create_app(engine, Settings(dev=True), quiet, Metrics(), shelf)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


def test_the_policy_lets_a_page_have_nothing_but_its_own_files() -> None:
    assert CONTENT_SECURITY_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@pytest.mark.parametrize(
    "path", ["/console", "/console/sign-in", "/console/static/console.css", "/console/static/x", "/console/nowhere"]
)
def test_every_answer_of_the_console_brings_the_headers(signed_in: SignedIn, path: str) -> None:
    client = signed_in().client
    stranger = client.get(path, headers={"cookie": ""}, follow_redirects=False)
    for answer in (client.get(path), stranger, client.post(path), client.request("BREW", path)):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert answer.headers.get_list("content-security-policy") == [CONTENT_SECURITY_POLICY]
        kept = path.startswith("/console/static/") and answer.status_code == 200
        assert answer.headers["cache-control"] == ("max-age=31536000, immutable" if kept else "no-store")


def test_the_api_is_as_it_was(client: TestClient[Litestar]) -> None:
    for path in ("/v1/policies", "/health/live", "/consoles", "/v1/nowhere"):
        answer = client.get(path)
        assert "content-security-policy" not in answer.headers
        assert "set-cookie" not in answer.headers
    assert client.get("/consoles").headers["content-type"] == "application/problem+json"


def test_a_file_is_what_its_name_says(anyone: TestClient[Litestar]) -> None:
    for name, media in {
        "console.css": "text/css",
        "console.js": "text/javascript",
        "htmx.min.js": "text/javascript",
        "icon.svg": "image/svg+xml",
        "htmx.LICENSE.txt": "text/plain",
    }.items():
        answer = anyone.get(f"/console/static/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(media)
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("name", ["../routes.py", "..%2froutes.py", "%2e%2e/routes.py", "x", "", ".", "console.css/x"])
def test_nothing_but_what_lies_there_is_a_file(app: Litestar, name: str) -> None:
    with RawClient(app) as client:
        answer = client.send("GET", f"/console/static/{name}".encode())
        assert answer.status == 404
        assert b"def " not in answer.body


@pytest.mark.parametrize("token", [None, "", "x", "0" * 128, "another"])
def test_a_form_without_its_token_does_nothing(browser: Browser, engine: Engine, token: str | None) -> None:
    browser.open("/console")
    sent = {"key": "x"}
    if token == "another":  # noqa: S105 - a kind of token, none itself
        sent["_csrf_token"] = session(engine, "x")[1][1].decode()
    elif token is not None:
        sent["_csrf_token"] = token
    answer = browser.client.post("/console/sign-in", data=sent)
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text
    [told] = answer.headers.get_list("set-cookie")
    assert told.startswith(f'{CSRF_COOKIE}=""'), "one that another service on this host left would stay for ever"
    page = browser.send(browser.open("/console"), "/console/sign-in", key="x")
    assert page.status == 422, "the next form is good again"


@pytest.mark.parametrize("place", ["form", "header", "cookie"])
def test_a_token_of_other_letters_is_none(app: Litestar, engine: Engine, place: str) -> None:
    """Anybody may send one: the framework's comparison takes letters of ASCII alone."""
    good, odd = session(engine, "x")[1][1], b"0" * 64 + b"\xe9" * 64
    cookie = (b"cookie", b"%s=%s" % (CSRF_COOKIE.encode(), odd if place == "cookie" else good))
    headers = [cookie, (b"content-type", b"application/x-www-form-urlencoded")]
    if place == "header":
        headers.append((b"x-csrftoken", odd))
    with RawClient(app) as client:
        answer = client.send("POST", b"/console/sign-in", headers, b"_csrf_token=" + (odd if place == "form" else good))
    assert answer.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_a_form_on_another_site_does_nothing(app: Litestar, engine: Engine, site: str) -> None:
    with RawClient(app) as client:
        for sent, status in ((site, 403), ("same-origin", 303), ("none", 303)):
            headers = [*session(engine, "x"), (b"sec-fetch-site", sent.encode())]
            assert client.send("POST", b"/console/sign-out", headers).status == status


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null", ""])
def test_a_form_of_another_origin_does_nothing_where_browsers_say_no_more(
    app: Litestar, engine: Engine, origin: str
) -> None:
    """Without TLS they do not tell the site, and a service on another port of this host may set the token's cookie."""
    with RawClient(app) as client:
        signed = session(engine, "x")
        for sent, status in ((origin, 403), ("http://localhost", 303)):
            told = (b"origin", sent.encode())
            assert client.send("POST", b"/console/sign-out", [*signed, told]).status == status
        renamed = [(b"host", b"upstream:8000"), (b"origin", b"https://console.example.org")]
        behind_proxy = [*signed, *renamed, (b"sec-fetch-site", b"same-origin")]
        assert client.send("POST", b"/console/sign-out", behind_proxy).status == 303


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", "x"])
def test_only_forms_are_read(app: Litestar, engine: Engine, kind: str) -> None:
    with RawClient(app) as client:
        headers = [*session(engine, "x"), (b"content-type", kind.encode())]
        answer = client.send("POST", b"/console/sign-in", headers, b"key=x")
        assert (answer.status, b"must be application/x-www-form-urlencoded" in answer.body) == (422, True)


def test_no_form_is_remembered(app: Litestar, engine: Engine) -> None:
    """The framework's own reader keeps the latest thousand in memory; what was pasted into one may be a key."""
    before = parse_url_encoded_form_data.cache_info().currsize
    form = [*session(engine, "x"), (b"content-type", b"application/x-www-form-urlencoded")]
    with RawClient(app) as client:
        answer = client.send(
            "POST", b"/console/sign-in", form, b"key=not-remembered&next=%2Fconsole%3Fa%3D%C3%A4&key=2"
        )
    assert answer.status == 422
    assert parse_url_encoded_form_data.cache_info().currsize == before


def test_a_form_that_does_not_come_is_waited_for_no_longer(
    app: Litestar, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker ends when it has answered what it was asked: anybody may begin a form."""
    monkeypatch.setattr(cxi_bandit.service.console.security, "_FORM_SECONDS", 0.01)
    form = [*session(engine, "x"), (b"content-type", b"application/x-www-form-urlencoded")]
    with RawClient(app) as client:
        answer = client.send("POST", b"/console/sign-in", form, b"key=", silent=True)
    assert (answer.status, b"nothing was done" in answer.body) == (408, True)


def test_a_form_is_short_and_whole(app: Litestar, engine: Engine) -> None:
    form = [*session(engine, "x"), (b"content-type", b"application/x-www-form-urlencoded")]
    with RawClient(app) as client:
        assert client.send("POST", b"/console/sign-in", form, b"key=" + b"x" * 17_000).status == 413
        assert client.send("POST", b"/console/sign-in", form, b"key=x", broken_off=True).status == 400
        assert client.send("POST", b"/console/sign-in", form, b"\xff=%ff&key=%zz&key=2&&==").status == 422


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8000"])
def test_in_development_this_machine_is_answered(local: TestClient[Litestar], host: str) -> None:
    assert local.get("/console", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.", "[::2]"])
def test_in_development_a_name_that_only_leads_here_is_not(local: TestClient[Litestar], host: str) -> None:
    """A page elsewhere may let its own name lead to the loopback address: its scripts would speak as its reader."""
    for answer in (
        local.get("/console", headers={"host": host}),
        local.post("/console/sign-out", headers={"host": host}),
    ):
        assert answer.status_code == 403
        assert "localhost" in answer.text


def test_in_development_forms_need_their_token_too(local: TestClient[Litestar]) -> None:
    assert local.post("/console/sign-out").status_code == 403


FAILURES = {
    "not-found": (NotFound("policy", "<script>alert(1)</script>"), 404, "no policy"),
    "invalid": (InvalidInput("/reason", "is empty; say why"), 422, "is empty; say why"),
    "step": (WrongStep("it is live already"), 409, "it is live already"),
    "gate": (
        RefusedByGate(Ruling.WAIT, (Reason("too_wide", "the interval <b>holds</b> zero"),)),
        409,
        "the interval <b>holds</b> zero",
    ),
    "away": (Unavailable("the database"), 503, "the database is unavailable; try again in 1 s"),
    "bug": (RuntimeError("secret detail"), 500, "An unexpected error; it has been logged."),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_what_fails_is_told_in_words(
    kind: str,
    engine: Engine,
    settings: Settings,
    quiet: FilteringBoundLogger,
    shelf: SpoolShelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error, status, words = FAILURES[kind]

    def failing_pages(*_: object) -> list[HTTPRouteHandler]:
        @get("/", opt=shown_to(Scope.READ))
        async def fail() -> None:
            raise error

        return [fail]

    monkeypatch.setattr(cxi_bandit.service.console.routes, "overview_pages", failing_pages)
    app = create_app(engine, settings, quiet, Metrics(), shelf)
    with TestClient(app, raise_server_exceptions=False) as client:
        secret_headers = dict(session(engine, _reader(engine)))
        client.headers.update({name.decode(): value.decode() for name, value in secret_headers.items()})
        page = Browser(client).open("/console")
    assert (page.status, page.response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert words in page.text
    assert "<script>alert" not in page.response.text
    assert "secret detail" not in page.response.text
    assert "www-authenticate" not in page.response.headers
    assert ("retry-after" in page.response.headers) == (kind == "away")


def test_a_page_that_there_is_not_is_told_as_a_page(signed_in: SignedIn) -> None:
    page = signed_in().open("/console/nowhere")
    assert (page.status, page.title) == (404, "Not Found · cxi-bandit")


def _reader(engine: Engine) -> str:
    return add_key(engine, "reader", frozenset({Scope.READ}))
