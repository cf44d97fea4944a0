"""The pages of the documentation as data: their fenced blocks, and what a block of commands says comes of each."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(r"^(?P<fence>```+)(?P<kind>[^\n]*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b")
_FRAME = re.compile("[\u2500-\u257f]")


class Block(NamedTuple):
    """A fenced block, and the line it begins in."""

    page: str
    line: int
    kind: str
    text: str


class Entry(NamedTuple):
    """A command, continuation lines joined as a shell reads them, and what the page shows of its output."""

    command: str
    shown: str


def blocks(page: Path, *kinds: str) -> list[Block]:
    """The page's blocks in their order; of these kinds only, where any are named."""
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT).as_posix()
    found = [
        Block(name, text[: match.start()].count("\n") + 1, match["kind"], match["text"])
        for match in _BLOCK.finditer(text)
    ]
    return [block for block in found if not kinds or block.kind in kinds]


def entries(text: str) -> Iterator[Entry]:
    """What a block of commands holds: `$ ` begins a command, `> ` continues it, all else is output."""
    command: list[str] = []
    shown: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield Entry("\n".join(command), "\n".join(shown))
            command, shown = [line[2:]], []
        elif line.startswith("> ") and not shown:
            command.append(line[2:])
        else:
            shown.append(line)
    if command:
        yield Entry("\n".join(command), "\n".join(shown))


def resembles(said: str, shown: str) -> bool:
    """Whether output is what a page shows, but for numbers, ids, frames and line breaks; `...` stands for anything."""
    parts = [re.escape(_words(part)) for part in shown.split("...")]
    return re.fullmatch(".*".join(parts), _words(said)) is not None


def _words(text: str) -> str:
    return "".join(_FRAME.sub("", _NUMBER.sub("#", _ID.sub("#", text))).split())
