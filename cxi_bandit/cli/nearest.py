"""What somebody may have meant by a name that is not known."""

from collections.abc import Iterable
from typing import Final

_SHOWN: Final = 8


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause to follow `no policy 'serch'`: the names it resembles, else those there are; empty where none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - only ever needed once something went wrong

    names = sorted(set(known))
    if alike := get_close_matches(word, names, n=3):
        return f"; did you mean {' or '.join(alike)}?"
    if not names:
        return ""
    more = ", …" if len(names) > _SHOWN else ""
    return f"; there are {', '.join(names[:_SHOWN])}{more}"
