"""What is asked of every page, whoever made it: found by its links, heard read aloud, worked by the keyboard."""

import re
from collections.abc import Iterator
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

BEGIN: Final = "/console"
_NAMED: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)[0-9]+(?=/|$)|(?<=/policies/)[^/]+")
_SERIOUS: Final = frozenset({"serious", "critical"})
_AXE: Final = Axe().axe_script
# Of a long table the first ten rows; the others are made by the same lines.
_WHERE: Final = {"exclude": [["tbody tr:nth-child(n+11)"]]}
_MOST_TABS: Final = 400

# What can be reached by Tab: of radio buttons of one name only one, of a closed `details` only its summary.
_WORKABLE: Final = """() => {
  const found = [];
  const seen = new Set();
  for (const one of document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")) {
    if (one.disabled || !one.checkVisibility({visibilityProperty: true})) continue;
    if (one.type === "radio") { if (seen.has(one.name)) continue; seen.add(one.name); }
    one.dataset.place = found.length;
    found.push(one.outerHTML.slice(0, 120));
  }
  return found;
}"""
_FOCUSED: Final = "() => document.activeElement?.dataset.place ?? null"
_OUTLINED: Final = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""


def kind(address: str) -> str:
    """The path without what names one thing among many, so that one of each kind is looked at."""
    return _NAMED.sub("*", urlsplit(address).path)


def every_page(page: Page, address: str, *forms: str) -> Iterator[str]:
    """Opens one page of every kind, and yields its kind while it is open.

    Args:
        forms: Pages that a form leads to; to all others links lead from the first one.
    """
    waiting, known = [BEGIN, *forms], {BEGIN}
    while waiting:
        path = waiting.pop(0)
        answer = page.goto(address + path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        yield kind(path)
        for link in page.eval_on_selector_all("a[href]", "all => all.map(one => one.href)"):
            parts = urlsplit(link)
            further = parts.path + (f"?{parts.query}" if parts.query else "")
            if link.startswith(address + BEGIN) and kind(further) not in known:
                known.add(kind(further))
                waiting.append(further)


def file_name(name: str) -> str:
    """A kind of page as the name of its picture."""
    return re.sub(r"[^a-z0-9]+", "-", name.removeprefix(BEGIN).replace("*", "one").lower()).strip("-") or "overview"


def barriers(page: Page) -> list[str]:
    """What the accessibility engine finds that keeps people out, element by element, and by night in colours alone.

    The page's context must bypass the content policy, which lets no script in that is not the console's own.
    """
    page.evaluate(_AXE)
    return _found(page, "light", {}) + _found(page, "dark", {"runOnly": ["color-contrast"]})


def _found(page: Page, light: Literal["light", "dark"], options: dict[str, Any]) -> list[str]:
    page.emulate_media(color_scheme=light)
    told = {"resultTypes": ["violations"], **options}
    found: dict[str, Any] = page.evaluate("([where, told]) => axe.run(where, told)", [_WHERE, told])
    return [
        f"{light}: {one['impact']} {one['id']}: {node['html'][:160]} ({node['failureSummary'][:240]})"
        for one in found["violations"]
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]


def out_of_reach(page: Page) -> list[str]:
    """What can be worked with a mouse and is not reached by Tab, or not seen to be."""
    workable: list[str] = page.evaluate(_WORKABLE)
    page.evaluate("() => { document.activeElement?.blur(); window.scrollTo(0, 0); }")
    reached: set[int] = set()
    unseen: list[str] = []
    for _ in range(min(2 * len(workable) + 10, _MOST_TABS)):
        page.keyboard.press("Tab")
        place = page.evaluate(_FOCUSED)
        if place is not None:
            if int(place) not in reached and not page.evaluate(_OUTLINED):
                unseen.append(f"no outline: {workable[int(place)]}")
            reached.add(int(place))
        if len(reached) == len(workable):
            break
    return unseen + [f"not reached: {one}" for place, one in enumerate(workable) if place not in reached]
