"""A picture as inline SVG: colours are the page's own, text stays text, a title and a description are part of it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Stand-ins that nothing else would be drawn in; each becomes a custom property of the style sheet, which knows day and
# night.
INK: Final = "#010203"
MUTED: Final = "#010204"
GRID: Final = "#010205"
ACCENT: Final = "#010206"
SECOND: Final = "#010207"
ALERT: Final = "#010208"
PAPER: Final = "#010209"
_PROPERTIES: Final = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--rule)",
    ACCENT: "var(--accent)",
    SECOND: "var(--second)",
    ALERT: "var(--alert)",
    PAPER: "var(--paper)",
}
_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}
WIDTH: Final = 7.6
"""Inches, of every picture; the page scales them."""


@dataclass(frozen=True)
class Picture:
    """A picture and what it says in words.

    Args:
        title: What it shows.
        description: What there is to see, for who cannot see it.
        svg: Made here from nothing but numbers and escaped names; safe to put into a page as it is.
    """

    title: str
    description: str
    svg: Markup


@dataclass
class Canvas:
    """Axes to draw on; `svg` is there once the drawing is done."""

    axes: Axes
    svg: Markup = field(default_factory=Markup)


@contextmanager
def canvas(name: str, title: str, description: str, height: float) -> Iterator[Canvas]:
    """Axes to draw on, `height` inches high; `name` is unique on the page and part of every id of the picture."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # A name may be written in letters that the measuring font lacks; the reader's own font draws it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        axes = figure.subplots()
        axes.patch.set_visible(False)
        drawing = Canvas(axes)
        yield drawing
        out = BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawing.svg = _inline(out.getvalue(), f"picture-{name}", title, description)


def _inline(document: bytes, name: str, title: str, description: str) -> Markup:
    """The drawing without prologue, metadata and name spaces, its ids its own, its title and description in front."""
    root = ET.fromstring(document)  # noqa: S314 - written by the line above, by nobody else
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _own(_local(key), value, name) for key, value in element.attrib.items()}
    for unwanted in ("metadata", "defs"):
        # The first `defs` is a style sheet for everything on the page; markers and clip paths have their own.
        found = root.find(unwanted)
        if found is not None and (unwanted == "metadata" or found.find("style") is not None):
            root.remove(found)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "focusable": "false"}
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, id=f"{name}-{tag}")
        element.text = text
        root.insert(position, element)
    text = ET.tostring(root, encoding="unicode")
    for stand_in, value in _PROPERTIES.items():
        text = text.replace(stand_in, value)
    return Markup(text)  # noqa: S704 - serialised by ElementTree, which has escaped every text and attribute


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _own(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    return value.replace("url(#", f"url(#{name}-")
