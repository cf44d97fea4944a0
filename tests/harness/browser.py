"""What a reader does with the console: opens pages, reads their words, fills in their forms."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, NamedTuple

from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

VOID = frozenset(
    {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "path",
        "rect",
    }
)


class Element(NamedTuple):
    """An element, its attributes, and the text that stands in it."""

    tag: str
    attributes: dict[str, str | None]
    children: list["Element | str"]

    def walk(self) -> Iterator["Element"]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """Every element of a kind within it, with these attributes."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            found
            for found in self.walk()
            if found.tag == tag and all(found.attributes.get(name) == value for name, value in wanted.items())
        ]

    @property
    def text(self) -> str:
        """Its words, as they are read; what stands in a script is read by nobody."""
        if self.tag in ("script", "style"):
            return ""
        words = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(words).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document", {}, [])
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), [])
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self._open[-1].tag == tag, f"<{self._open[-1].tag}> is ended by </{tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def finished(self) -> Element:
        assert self._open == [self.root], f"<{self._open[-1].tag}> is never ended"
        return self.root


def read_html(text: str) -> Element:
    """The elements of a page. Fails where they do not nest."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.finished()


def faults(root: Element) -> list[str]:
    """What is wrong with a rendered page for those who use a keyboard or hear it read."""
    found = []
    ids = [element.attributes["id"] for element in root.walk() if "id" in element.attributes]
    found += [f"id {one} twice" for one in set(ids) if ids.count(one) > 1]
    labelled = {label.attributes.get("for") for label in root.all("label")}
    for element in root.walk():
        attributes = element.attributes
        typed = element.tag in ("input", "select", "textarea") and attributes.get("type") != "hidden"
        if typed and attributes.get("id") not in labelled and "aria-label" not in attributes:
            found.append(f"{element.tag} {attributes.get('name')} has no label")
        for name in ("aria-describedby", "aria-labelledby"):
            if name in attributes and attributes[name] not in ids:
                found.append(f"{name} {attributes[name]} is nowhere")
        if element.tag in ("a", "button") and not (element.text or attributes.get("aria-label")):
            found.append(f"an empty {element.tag}")
        if element.tag == "table" and not element.all("th", scope="col"):
            found.append("a table without heads")
        if element.tag == "style" or "style" in attributes:
            found.append(f"{element.tag} brings a style")
    for landmark in ("main", "header", "footer", "h1"):
        if len(root.all(landmark)) != 1:
            found.append(f"{len(root.all(landmark))} {landmark}")
    return found


class Page(NamedTuple):
    """An answer, read."""

    response: Response
    root: Element

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def title(self) -> str:
        return self.root.all("title")[0].text

    @property
    def faults(self) -> list[str]:
        """What is wrong with it for those who use a keyboard or hear it read."""
        return faults(self.root)

    @property
    def text(self) -> str:
        """The words of what the page is about."""
        return self.root.all("main")[0].text

    def chart(self, chart: str) -> Any:
        """The numbers that a chart is drawn from."""
        [block] = self.root.all("script", id=f"{chart}-data")
        return json.loads("".join(map(str, block.children)))

    def form(self, action: str) -> Element:
        """The form that is sent there."""
        [found] = self.root.all("form", action=action)
        return found


class Browser:
    """One reader, with the cookies of its session."""

    def __init__(self, client: TestClient[Litestar]) -> None:
        self.client = client

    def open(self, path: str, **headers: str) -> Page:
        """A page, wherever the service sends its reader."""
        return _page(self.client.get(path, headers=headers))

    def send(self, page: Page, action: str, follow: bool = True, **fields: str) -> Page:
        """Fills in a page's form and sends it.

        Args:
            fields: What is typed or chosen; of the rest the form's own values are sent.
        """
        sent = {**filled(page.form(action)), **fields}
        return _page(self.client.post(action, data=sent, follow_redirects=follow))

    def sign_in(self, secret: str, path: str = "/console") -> Page:
        """Opens a page, and signs in where the service asks for it."""
        return self.send(self.open(path), "/console/sign-in", key=secret)


def filled(form: Element) -> dict[str, str]:
    """What a form sends as it stands."""
    sent = {}
    for field in form.walk():
        name = field.attributes.get("name")
        if name is None or field.tag not in ("input", "select", "textarea"):
            continue
        if field.tag == "select":
            options = field.all("option")
            chosen = [option for option in options if "selected" in option.attributes] or options[:1]
            sent[name] = chosen[0].attributes.get("value") or ""
        elif field.tag == "textarea":
            sent[name] = field.text
        elif field.attributes.get("type") not in ("checkbox", "radio") or "checked" in field.attributes:
            sent[name] = field.attributes.get("value") or ""
    return sent


def _page(response: Response) -> Page:
    return Page(response, read_html(response.text))
