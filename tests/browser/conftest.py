"""A browser, and a shop to look at. Without one installed, these tests are skipped and say what to install."""

import os
import shutil
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, sync_playwright

from cxi_bandit.domain.access import Scope
from tests.browser.shop import RunningShop, running_shop

PICTURES = Path(__file__).parents[2] / "build" / "console"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ABSENT = "no Chromium found: install one (Debian: apt-get install chromium), or name it in CHROMIUM"
PATIENCE_MS = 15_000
_ANSWERED_BADLY = "Failed to load resource: the server responded with a status of "
"""The browser's words for an answer of 400 or more; which of them are faults, `Reader` judges by what was asked."""


# A module's and not the session's: while Playwright is open its event loop runs in this thread, and no other could.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(ABSENT)
    with sync_playwright() as playwright:
        # Its sandbox does not work for root; all that it opens here is our own.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shop(chromium: Browser, servers_directory: Path) -> Iterator[RunningShop]:
    with running_shop(servers_directory / "shop") as running:
        yield running


class Reader:
    """Somebody before a browser of their own, and what the browser complained of meanwhile."""

    def __init__(self, context: BrowserContext, shop: RunningShop) -> None:
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self._address = shop.address
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_ANSWERED_BADLY):
            self.complaints.append(f"{message.type}: {message.text}")

    def _answered(self, response: Response) -> None:
        # A page may refuse, and says why; what it loads must be there.
        if response.status >= HTTPStatus.BAD_REQUEST and response.request.resource_type != "document":
            self.complaints.append(f"{response.url}: {response.status}")
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.complaints.append(f"{response.url}: {response.status}")

    def _failed(self, url: str, why: str) -> None:
        # Leaving a page ends its stream.
        if why != "net::ERR_ABORTED":
            self.complaints.append(f"{url}: {why}")

    def open(self, path: str) -> Page:
        self.page.goto(self._address + path)
        return self.page

    def sign_in(self, secret: str) -> None:
        self.open("/console")
        self.page.get_by_label("API key").fill(secret)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.fixture
def new_reader(chromium: Browser, shop: RunningShop) -> Iterator[Callable[..., Reader]]:
    """Makes readers. At the end nothing may be in any browser's console."""
    made: list[tuple[BrowserContext, Reader]] = []

    def new(*, bypass_csp: bool = False) -> Reader:
        context = chromium.new_context(bypass_csp=bypass_csp, reduced_motion="reduce")
        made.append((context, Reader(context, shop)))
        return made[-1][1]

    yield new
    complaints = [complaint for _, reader in made for complaint in reader.complaints]
    for context, _ in made:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def keys(shop: RunningShop) -> dict[str, str]:
    """Secrets by what their holders may do."""
    return {
        "reader": shop.new_key("rita", Scope.READ),
        "proposer": shop.new_key("paul", Scope.READ, Scope.PROPOSE),
        "everything": shop.new_key("eve", *Scope),
        "approver": shop.new_key("anna", Scope.READ, Scope.APPROVE),
    }
