"""Signing in to the console, and out: what a session is good for, how long, and what is no session at all."""

import base64
import io
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.middleware.session.client_side import AAD
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

import cxi_bandit.service.app
from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import digest, new_secret
from cxi_bandit.service.console.security import CSRF_COOKIE
from cxi_bandit.service.console.session import COOKIE, SealedCookies, Sessions
from cxi_bandit.service.console.sign_in import page_wanted
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.request_lines import RequestLines
from tests.harness.browser import Browser
from tests.security.matrix import session
from tests.security.raw import RawClient

NewKey = Callable[..., str]


def test_a_key_opens_the_page_that_was_wanted(browser: Browser, new_key: NewKey) -> None:
    asked = browser.open("/console?page=2")
    assert asked.title == "Sign in · cxi-bandit"
    page = browser.send(asked, "/console/sign-in", key=f" {new_key(Scope.READ, name='anna')}\n")
    assert (page.status, page.response.url.path, page.response.url.query) == (200, "/console", b"page=2")
    assert "Signed in as anna" in page.root.text
    assert browser.open("/console").status == 200


def test_the_cookie_holds_no_key_and_is_kept_from_scripts_and_other_sites(browser: Browser, new_key: NewKey) -> None:
    secret = new_key(Scope.READ)
    page = browser.send(browser.open("/console"), "/console/sign-in", follow=False, key=secret)
    [told] = [line for line in page.response.headers.get_list("set-cookie") if line.startswith(f"{COOKIE}=")]
    assert {"HttpOnly", "Path=/console", "SameSite=strict", "Max-Age=28800"} <= set(told.split("; "))
    assert "Secure" not in told
    raw = base64.b64decode(told.partition("=")[2].partition(";")[0].strip('"'))
    for form in (secret.encode(), digest(secret), digest(secret).hex().encode(), b"shop"):
        assert form not in raw


def test_where_there_is_tls_no_cookie_goes_without(
    engine: Engine, new_key: NewKey, quiet: FilteringBoundLogger, shelf: SpoolShelf
) -> None:
    app = create_app(engine, Settings(tls=True), quiet, Metrics(), shelf)
    with TestClient(app, base_url="https://console.example.org") as client:
        browser = Browser(client)
        asked = browser.open("/console")
        page = browser.send(asked, "/console/sign-in", follow=False, key=new_key(Scope.READ))
        for told in asked.response.headers.get_list("set-cookie") + page.response.headers.get_list("set-cookie"):
            assert "Secure" in told.split("; ")
        assert browser.open("/console").title == "Overview · cxi-bandit"


@pytest.mark.parametrize("typed", ["", "hello", "cxi_short", "cxi_" + 48 * "0" + "!", "<script>alert(1)</script>"])
def test_what_is_no_key_is_told_so_and_never_looked_up(
    browser: Browser, engine: Engine, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.store.access, "key", lambda _: pytest.fail("looked up"))
    page = browser.send(browser.open("/console"), "/console/sign-in", key=typed)
    assert page.status == 422
    assert "not a key of ours" in page.text
    assert not typed or typed not in page.response.text, "what was typed may be most of a key"
    assert COOKIE not in browser.client.cookies


def test_unknown_and_revoked_keys_and_those_that_may_not_read_are_told_apart_from_nonsense(
    browser: Browser, engine: Engine, new_key: NewKey
) -> None:
    revoked = new_key(Scope.READ, name="gone")
    engine.store.access.revoke_key("gone", engine.clock(), "test")
    for secret in (new_secret(), revoked):
        page = browser.send(browser.open("/console"), "/console/sign-in", key=secret)
        assert (page.status, "unknown or revoked" in page.text) == (401, True)
    page = browser.send(browser.open("/console"), "/console/sign-in", key=new_key(Scope.APPROVE, name="boss"))
    assert (page.status, "lacks the scope read" in page.text) == (403, True)
    assert COOKIE not in browser.client.cookies


def test_guesses_are_paid_from_the_bucket_that_the_api_pays_from(
    engine: Engine,
    settings: Settings,
    new_key: NewKey,
    quiet: FilteringBoundLogger,
    shelf: SpoolShelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cxi_bandit.service.app, "_GUESSES_BURST", 3)
    monkeypatch.setattr(cxi_bandit.service.app, "_GUESSES_PER_SECOND", 0.001)
    app = create_app(engine, settings, quiet, Metrics(), shelf)
    known = new_key(Scope.READ)
    with TestClient(app) as client:
        browser = Browser(client)
        headers = {"authorization": f"Bearer {known}"}
        assert client.get("/v1/policies", headers=headers).status_code == 200
        asked = browser.open("/console")
        statuses = [browser.send(asked, "/console/sign-in", key=new_secret()).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        told = browser.send(asked, "/console/sign-in", key=new_secret())
        assert "try again in" in told.text
        assert int(told.response.headers["retry-after"]) >= 1
        assert client.get("/v1/policies", headers={"authorization": f"Bearer {new_secret()}"}).status_code == 429
        assert browser.send(asked, "/console/sign-in", key=known).status == 200, "who is known is let in all the same"


def test_a_revoked_key_is_out_at_once(signed_in: Callable[..., Browser], engine: Engine) -> None:
    browser = signed_in(name="anna")
    assert browser.open("/console").title == "Overview · cxi-bandit"
    engine.store.access.revoke_key("anna", engine.clock(), "test")
    assert browser.open("/console").title == "Sign in · cxi-bandit"


def test_signing_out_ends_the_session(signed_in: Callable[..., Browser]) -> None:
    browser = signed_in()
    page = browser.send(browser.open("/console"), "/console/sign-out")
    assert page.title == "Sign in · cxi-bandit"
    assert browser.open("/console").title == "Sign in · cxi-bandit"


def test_only_signing_in_and_out_writes_the_session(signed_in: Callable[..., Browser]) -> None:
    """An answer still under way when its reader signs out must not bring the session back."""
    browser = signed_in()
    for path in ("/console", "/console/sign-in", "/console/nowhere"):
        cookies = browser.open(path).response.headers.get_list("set-cookie")
        assert not [told for told in cookies if told.startswith(f"{COOKIE}=")]


def test_a_session_ends_when_its_time_is_over(app: Litestar, engine: Engine, new_key: NewKey) -> None:
    with RawClient(app) as client:
        sealing = Sessions(engine.console_key, seconds=60, tls=False)
        sealed = sealing.cookie(digest(new_key(Scope.READ)))
        assert client.send("GET", b"/console", [(b"cookie", sealed.encode())]).status == 200
        with pytest.MonkeyPatch.context() as later:
            now = time.time()
            later.setattr("litestar.middleware.session.client_side.time.time", lambda: now + 61)
            assert client.send("GET", b"/console", [(b"cookie", sealed.encode())]).status == 303


def test_another_deployments_cookie_is_no_session(app: Litestar, new_key: NewKey) -> None:
    elsewhere = Sessions(bytes(32), seconds=3600, tls=False).cookie(digest(new_key(Scope.READ)))
    with RawClient(app) as client:
        assert client.send("GET", b"/console", [(b"cookie", elsewhere.encode())]).status == 303


FORGED = st.one_of(
    st.binary(max_size=80),
    st.binary(max_size=40).map(lambda start: base64.b64encode(start + AAD)),
    st.sampled_from([b"[]", b"{", b'{"expires_at": "x"}', b'{"expires_at": 9e99}', b"[" * 5000, b"null", b'{"a": 1}'])
    .map(lambda stated: base64.b64encode(bytes(40) + AAD + stated)),
)  # fmt: skip


@given(forged=FORGED)
def test_a_cookie_that_nobody_sealed_is_no_session_whatever_it_holds(forged: bytes) -> None:
    sealing = Sessions(bytes(32), seconds=3600, tls=False)._cookies
    assert isinstance(sealing, SealedCookies)
    assert sealing.load_data([forged]) == {}


@pytest.mark.parametrize(
    "value", ["x", "====", "a" * 5000, '"', "%00", "\xff\xfe", base64.b64encode(AAD + b"{").decode()]
)
def test_nonsense_in_a_cookie_asks_its_sender_to_sign_in(app: Litestar, value: str) -> None:
    with RawClient(app) as client:
        for name in (COOKIE, f"{COOKIE}-0", CSRF_COOKIE):
            sent = [(b"cookie", f"{name}={value}".encode("latin-1"))]
            assert client.send("GET", b"/console", sent).status == 303


@pytest.mark.parametrize(
    ("named", "goes_to"),
    [
        ("/console", "/console"),
        ("/console/policies/cart?x=1&y=%2F", "/console/policies/cart?x=1&y=%2F"),
        (None, "/console"),
        ("", "/console"),
        ("/", "/console"),
        ("/v1/policies", "/console"),
        ("/consoles", "/console"),
        ("//evil.example", "/console"),
        ("//evil.example/console", "/console"),
        ("https://evil.example/console", "/console"),
        ("/console\\evil.example", "/console"),
        ("/console/\\evil.example", "/console"),
        ("/console\r\nset-cookie: a=b", "/console"),
        ("/console/ x", "/console"),
        ("\t/console", "/console"),
        ("javascript:alert(1)", "/console"),
        ("/console@evil.example", "/console"),
        ("/console/sign-in?next=/console", "/console"),
        ("/console/../v1/policies", "/console"),
        ("/console/..//evil.example", "/console"),
        ("/console/%2E%2e/v1/policies", "/console"),
        ("/console/policies/.%2e/.%2e/v1/policies", "/console"),
        ("/console/./sign-in", "/console"),
        ("/CONSOLE/policies", "/console"),
        ("/console/policies#x", "/console"),
        ("/console/decisions?before=1&since=2026-11-20T08:00", "/console/decisions?before=1&since=2026-11-20T08:00"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours_and_nowhere_else(named: str | None, goes_to: str) -> None:
    assert page_wanted(named) == goes_to


@given(named=st.text(alphabet="/\\:@?#.%2eEconsle \t\n", max_size=30).map(lambda rest: f"/console{rest}"))
def test_wherever_it_leads_is_the_consoles(named: str) -> None:
    found = page_wanted(named)
    assert found == "/console" or found[len("/console")] in "/?"
    assert not set(found) & set("\\ \t\n")
    assert urlsplit(urljoin("http://here", unquote(found.partition("?")[0]))).path.startswith("/console")


def test_a_link_from_elsewhere_asks_once_more_before_it_asks_to_sign_in(signed_in: Callable[..., Browser]) -> None:
    """Browsers keep a strict cookie back where another site's link was followed; a page's own refresh brings it."""
    browser = signed_in()
    kept = dict(browser.client.cookies)
    browser.client.cookies.clear()
    first = browser.open("/console?a=1&b=2", **{"sec-fetch-site": "cross-site"})
    assert first.status == 401
    [refresh] = first.root.all("meta", http_equiv="refresh")
    assert refresh.attributes["content"] == "0; url=/console?a=1&b=2"
    browser.client.cookies.update(kept)
    assert browser.open("/console?a=1&b=2", **{"sec-fetch-site": "same-origin"}).status == 200


def test_a_part_of_a_page_sends_the_whole_page_to_sign_in(browser: Browser) -> None:
    headers = {"hx-request": "true", "hx-current-url": "http://testserver.local/console?x=1"}
    answer = browser.client.get("/console", headers=headers)
    assert answer.headers["hx-redirect"] == "/console/sign-in?next=%2Fconsole%3Fx%3D1"
    stranger = {"hx-request": "true", "hx-current-url": "https://evil.example/console"}
    assert browser.client.get("/console", headers=stranger).headers["hx-redirect"].endswith("next=%2Fconsole")


def test_in_development_nobody_signs_in(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> None:
    app = create_app(engine, Settings(dev=True), quiet, Metrics(), shelf)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        browser = Browser(client)
        page = browser.open("/console")
        assert (page.status, page.title) == (200, "Overview · cxi-bandit")
        assert "Development mode" in page.root.text
        assert browser.open("/console/sign-in").response.url.path == "/console"


def test_a_session_is_told_to_the_log_by_its_keys_name_alone(app: Litestar, engine: Engine, new_key: NewKey) -> None:
    secret = new_key(Scope.READ, name="anna")
    with RawClient(app) as client:
        answer = client.send("GET", b"/console", session(engine, secret))
    assert answer.status == 200
    assert secret.encode() not in answer.body
    assert b"anna" in answer.body


def test_the_console_ships_with_its_templates_and_files() -> None:
    console = Path(cxi_bandit.service.app.__file__).parent / "console"
    assert (console / "templates" / "layout.html").is_file()
    assert {path.name for path in (console / "static").glob("*.LICENSE.txt")} == {
        "htmx.LICENSE.txt",
        "htmx-sse.LICENSE.txt",
        "uplot.LICENSE.txt",
    }


def test_no_sign_in_tells_a_key(
    engine: Engine, new_key: NewKey, shelf: SpoolShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the log, a metric or a page: not of a good key, not of one that is unknown, not when the look-up fails."""
    log, metrics = io.StringIO(), Metrics()
    lines = RequestLines("worker", "debug", log)
    app = create_app(engine, Settings(), open_log("worker", "debug", log), metrics, shelf, lines=lines)
    good, unknown, unlucky = new_key(Scope.READ), new_secret(), new_secret()
    told: list[str] = []
    with TestClient(app, raise_server_exceptions=False) as client:
        browser = Browser(client)
        asked = browser.open("/console?next=x")
        for secret, status in ((good, 303), (unknown, 401), (f"{good}x", 422), (unlucky, 500)):
            if secret is unlucky:
                monkeypatch.setattr(engine.store.access, "key", _fail)
            page = browser.send(asked, "/console/sign-in", follow=False, key=secret)
            assert page.status == status
            told.append(f"{page.response.headers} {page.response.text}")
    everything = "\n".join([log.getvalue(), metrics.exposition().decode(), *told])
    assert "on purpose" in everything
    for secret in (good, unknown, unlucky):
        assert secret not in everything
        assert secret[4:-6] not in everything


def _fail(_: bytes) -> None:
    raise RuntimeError("on purpose")
