"""The console as people use it: in a browser, behind a key, while the shop trades."""

from collections.abc import Callable
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Route, expect

from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.install import install
from cxi_bandit.engine.override import lift
from cxi_bandit.service.console.session import COOKIE
from tests.browser.conftest import Reader
from tests.browser.pages import barriers, every_page, file_name, out_of_reach
from tests.browser.shop import RunningShop
from tests.harness.evidence import file_report
from tests.harness.service import until

NewReader = Callable[..., Reader]
SEARCH = PolicyName("search")
SHOPPER = "shopper-7711-of-the-shop"
KINDS = (
    "/console",
    "/console/policies/*",
    "/console/policies/*/rollback",
    "/console/evaluations/*",
    "/console/evaluations/*/propose",
    "/console/decisions",
    "/console/decisions/*",
    "/console/quarantine",
    "/console/quarantine/decisions",
    "/console/quarantine/amend",
)
"""Pages that must be among those that were looked at."""
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


def decide(shop: RunningShop, **changes: object) -> str:
    asked = {"surface": "search", "defect": {"type": "zero_results", "severity": 0.8, "confidence": 0.9}}
    with httpx.Client(base_url=shop.address, headers={"authorization": f"Bearer {shop.key}"}) as client:
        return str(client.post("/v1/decisions", json={**asked, **changes}).json()["decision_id"])


def report(shop: RunningShop, decision: str, reward_id: str, value: float) -> str:
    told = {"decision_id": decision, "reward_id": reward_id, "metric": "purchase", "value": value}
    with httpx.Client(base_url=shop.address, headers={"authorization": f"Bearer {shop.key}"}) as client:
        now = client.get(f"/v1/decisions/{decision}").json()["decision"]["decided_at"]
        return str(client.post("/v1/rewards", json={**told, "occurred_at": now}).json()["results"][0]["status"])


class Eventful(NamedTuple):
    """What somebody may have to judge: reports that say go and wait about a second version, a quarantined reward."""

    go: int
    wait: int
    forms: tuple[str, ...]


@pytest.fixture(scope="module")
def eventful(shop: RunningShop) -> Eventful:
    assert report(shop, decide(shop), "odd", 7.0) == "quarantined"
    with shop.engine() as engine:
        name = f"{SEARCH}.toml"
        text = (shop.service.policies / name).read_text() + "# another version\n"
        install(engine.store.registry, [(name, text)], engine.clock(), "test")
        stores, at = engine.promoting[:3], engine.clock()
        (number, _), *_ = engine.store.ledger.quarantine(0, 1)
        go = file_report(stores, SEARCH, 2, None, at=at)
        wait = file_report(stores, SEARCH, 2, None, at=at, ruling=Ruling.WAIT)
    amend = f"/console/quarantine/amend?verb=release&number={number}"
    return Eventful(go=go, wait=wait, forms=(amend, f"/console/evaluations/{go}/propose"))


def test_what_the_browser_refuses_is_heard(new_reader: NewReader) -> None:
    reader = new_reader()
    page = reader.open("/console")
    assert reader.complaints == []
    page.evaluate("() => document.body.append(Object.assign(document.createElement('script'), {text: 'taken = 1'}))")
    page.evaluate("() => fetch('/console/nowhere')")
    until(lambda: len(reader.complaints) > 1, 10)
    assert page.evaluate("() => typeof taken") == "undefined"
    told = " ".join(reader.complaints)
    assert "Content Security Policy" in told
    assert "/console/nowhere" in told
    reader.complaints.clear()


def test_what_keeps_people_out_is_found(new_reader: NewReader) -> None:
    reader = new_reader(bypass_csp=True)
    page = reader.open("/console")
    page.evaluate("""() => document.querySelector("main").insertAdjacentHTML("beforeend",
        '<img src="data:,"><p style="color: #777; background: #888">pale</p><button tabindex="-1">beyond</button>')""")
    told = " ".join(barriers(page))
    assert "image-alt" in told
    assert "light: serious color-contrast" in told
    assert "dark: serious color-contrast" in told
    (missed,) = out_of_reach(page)
    assert "beyond" in missed


def test_every_page_lets_everybody_in_by_day_and_by_night(
    shop: RunningShop, keys: dict[str, str], new_reader: NewReader, eventful: Eventful
) -> None:
    reader = new_reader(bypass_csp=True)
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        found[name] = barriers(reader.page)
        for light in ("dark", "light"):
            reader.page.emulate_media(color_scheme=light)
            reader.picture(f"{file_name(name)}-{light}")

    reader.open("/console")
    look("/console/sign-in")
    reader.sign_in(keys["everything"])
    for name in every_page(reader.page, shop.address, *eventful.forms):
        look(name)
    assert {name: barriers for name, barriers in found.items() if barriers} == {}
    assert set(KINDS) <= found.keys()


def test_every_page_is_worked_by_the_keyboard_alone(
    shop: RunningShop, keys: dict[str, str], new_reader: NewReader, eventful: Eventful
) -> None:
    reader = new_reader()
    reader.sign_in(keys["everything"])
    pages = every_page(reader.page, shop.address, *eventful.forms)
    found = {name: out_of_reach(reader.page) for name in pages}
    assert {name: places for name, places in found.items() if places} == {}
    assert set(KINDS) <= found.keys()


def test_who_has_no_mouse_signs_in_finds_a_decision_and_opens_it(
    shop: RunningShop, keys: dict[str, str], new_reader: NewReader
) -> None:
    name = decide(shop, subject=SHOPPER)
    reader = new_reader()
    page = reader.open("/console/decisions")
    page.get_by_label("API key").focus()
    page.keyboard.type(keys["reader"])
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Shopper").focus()
    page.keyboard.type(SHOPPER)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/decisions?pseudonym=*")
    assert SHOPPER not in page.url
    link = page.locator(f"a[href$='{name}']")
    expect(link).to_have_count(1)
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/console/decisions/{name}")
    expect(page.get_by_text("executed again: identical")).to_be_visible()
    page.get_by_text("The numbers").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Probability of each intervention, numbers")).to_be_visible()
    assert page.locator("figure.chart canvas").count() == 1
    assert SHOPPER not in shop.log.read_text()


def test_a_reward_that_is_markup_is_released_as_text(
    shop: RunningShop, keys: dict[str, str], new_reader: NewReader
) -> None:
    name = decide(shop, subject=HOSTILE)
    assert report(shop, name, HOSTILE, 7.0) == "quarantined"
    reader = new_reader()
    reader.sign_in(keys["approver"])
    page = reader.page
    page.get_by_role("link", name="Quarantine", exact=True).click()
    page.get_by_label(f"Choose {HOSTILE} of shop").check()
    page.get_by_role("button", name="Release the chosen…").click()
    page.get_by_label("Why").fill("the till counts in sevens")
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Released: 1")
    page.get_by_role("link", name="its decision").click()
    expect(page.get_by_role("rowheader", name=HOSTILE).first).to_be_visible()
    assert page.title() == f"Decision {name} · cxi-bandit"
    assert page.locator("main img").count() == 0
    rita = new_reader()
    rita.sign_in(keys["reader"])
    rita.open("/console/quarantine?state=all")
    expect(rita.page.get_by_text("sign in with a key that has the scope approve")).to_be_visible()
    assert rita.page.get_by_role("checkbox").count() == 0


def test_a_candidate_is_proposed_approved_and_taken_back_and_refused_where_the_gate_does_not_say_go(
    shop: RunningShop, keys: dict[str, str], new_reader: NewReader, eventful: Eventful
) -> None:
    paul, anna = new_reader(), new_reader()
    paul.sign_in(keys["proposer"])
    page = paul.open(f"/console/evaluations/{eventful.wait}/propose")
    page.get_by_role("button", name="Propose it as paul").click()
    expect(page.get_by_role("alert")).to_contain_text("9 shoppers are too few")
    paul.picture("refused-light")
    page = paul.open(f"/console/evaluations/{eventful.go}")
    page.get_by_role("link", name="Propose this candidate").click()
    page.get_by_role("button", name="Propose it as paul").click()
    expect(page.get_by_role("status").filter(has_text="Proposed")).to_be_visible()
    assert page.get_by_role("link", name="Approve").count() == 0, "who proposes need not be who approves"

    anna.sign_in(keys["approver"])
    page = anna.open(f"/console/policies/{SEARCH}")
    page.get_by_role("link", name="Approve").click()
    page.get_by_role("button", name="Approve it as anna").click()
    expect(page.get_by_role("status").filter(has_text="Approved")).to_be_visible()
    with shop.engine() as engine:
        canary = engine.store.releases.rollout(SEARCH).canary
        assert canary is not None
        assert canary.stand.version == 2
    page.get_by_role("link", name="Roll back").click()
    page.get_by_label("Why").fill("complaints about the new banner")
    page.get_by_role("button", name="Roll back as anna").click()
    expect(page.get_by_role("status").filter(has_text="Rolled back")).to_be_visible()
    anna.picture("rolled-back-light")
    with shop.engine() as engine:
        assert engine.store.releases.rollout(SEARCH).canary is None
        trail = [(entry.actor, entry.action) for entry in engine.store.registry.trail(SEARCH)][-4:]
    assert trail == [
        ("paul", "promotion turned down"),
        ("paul", "promotion propose"),
        ("anna", "promotion approve"),
        ("anna", "rollback"),
    ]


def test_a_double_click_halts_once_and_what_was_written_outlives_its_session(
    shop: RunningShop, new_reader: NewReader
) -> None:
    reader = new_reader()
    reader.sign_in(shop.new_key("hasty", Scope.READ, Scope.APPROVE))
    page = reader.open("/console/policies/cart/halt")
    page.get_by_label("Why").fill("the vouchers are broken")
    page.context.clear_cookies(name=COOKIE)
    page.get_by_role("button", name="Halt cart as hasty").click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name="sign in in another tab").click()
    opened.value.get_by_label("API key").fill(shop.new_key("calm", Scope.READ, Scope.APPROVE))
    opened.value.get_by_role("button", name="Sign in").click()
    opened.value.get_by_role("button", name="Sign out").wait_for()
    page.reload()
    expect(page.get_by_role("status").filter(has_text="Halted")).to_be_visible()
    page = reader.open("/console/policies/detail-page/halt")
    page.get_by_label("Why").fill("so are these")
    sent: list[Route] = []

    def hold(route: Route) -> None:
        sent.append(route)

    page.route("**/halt", hold)
    button = page.get_by_role("button", name="Halt detail-page as calm")
    button.evaluate("(button) => [0, 200].forEach((after) => setTimeout(() => button.click(), after))")
    page.wait_for_timeout(500)
    assert len(sent) == 1, "sent while it is under way, the form would halt once more"
    sent.pop().continue_()
    expect(page.get_by_role("status").filter(has_text="Halted")).to_be_visible()
    with shop.engine() as engine:
        made = [one for one in engine.store.releases.overrides() if one.author in ("hasty", "calm")]
        told = [(one.policy, one.author, one.reason) for one in made]
        for one in made:
            lift(one.override_id, "calm", engine.store.releases, engine.clock())
    assert told == [("cart", "calm", "the vouchers are broken"), ("detail-page", "calm", "so are these")]


def test_the_overview_follows_the_shop_while_it_trades(
    shop: RunningShop, keys: dict[str, str], new_reader: NewReader
) -> None:
    reader = new_reader()
    reader.sign_in(keys["reader"])
    page = reader.page
    page.evaluate("() => { window.opened = true; }")
    rate = page.locator("dt", has_text="Decisions a second").locator("xpath=following-sibling::dd")
    seen: set[str] = set()

    def has_moved() -> bool:
        seen.add(rate.inner_text())
        return len(seen) > 2

    with shop.trading():
        until(has_moved, 60)
    assert page.evaluate("() => window.opened"), "the page itself was never loaded again"
    assert page.locator("figure.chart canvas").count() > 0
    reader.picture("overview-trading-light")
