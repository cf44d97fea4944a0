"""Docstrings are plain English with `code` between backticks; what markup would make of the rest is undone."""

import re
from typing import Any, Final

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

_CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_MARKUP: Final = re.compile(r"([\\*|]|_(?!\w))")
_VALUES: Final = ("attribute", "data", "property")
_BEFORE_SECTIONS: Final = 400
"""Before the paragraphs named Args, Returns and so on are told apart, which happens at 500."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entrance."""
    app.connect("autodoc-process-docstring", _as_plain_words, _BEFORE_SECTIONS)
    # A request in these pages is a line, headers and a body, without the version that strict readers ask for.
    app.add_lexer("http", TextLexer)
    app.add_lexer("csv", TextLexer)
    return {"parallel_read_safe": True}


def _as_plain_words(_app: Sphinx, kind: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    lines[:] = [_plain(line) for line in lines]
    if kind in _VALUES:
        # In the first line of a value's words, what stands before a colon would be taken for its type.
        lines.insert(0, "")


def _plain(line: str) -> str:
    """Code stays code; everything outside it loses its special meaning."""
    words = _CODE.split(line)
    words[::2] = [_MARKUP.sub(r"\\\1", text) for text in words[::2]]
    words[1::2] = [f"``{code}``" for code in words[1::2]]
    return "".join(words)
