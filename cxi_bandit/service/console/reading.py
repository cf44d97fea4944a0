"""What a page reads out of its address and its forms, each fault told by the field's name."""

import re
from collections.abc import Mapping
from typing import Final

from litestar.plugins.htmx import HTMXRequest

from cxi_bandit.domain.errors import InvalidInput

_LONGEST: Final = 1000
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


def number_asked(request: HTMXRequest, name: str) -> int | None:
    """A whole number of the query; None where it is not there.

    Raises:
        InvalidInput: It is none.
    """
    text = request.query_params.get(name, "")
    return number_written(text, name) if text else None


def number_written(text: str, name: str) -> int:
    """A whole number from 1 that somebody wrote.

    Raises:
        InvalidInput: It is none, or a greater one than anything has.
    """
    if not _NUMBER.fullmatch(text.strip()):
        raise InvalidInput(f"/{name}", "must be a whole number from 1")
    return int(text)


def sentence(typed: Mapping[str, str], name: str) -> str:
    """What somebody wrote in a field of its own words.

    Raises:
        InvalidInput: Nothing, too much, or what the database cannot hold.
    """
    text = " ".join(typed.get(name, "").split())
    if not 1 <= len(text) <= _LONGEST:
        raise InvalidInput(f"/{name}", f"must have 1 to {_LONGEST:,} characters; it has {len(text):,}")
    if "\0" in text:
        raise InvalidInput(f"/{name}", "must not contain the character U+0000")
    return text
