"""On which line of a manifest a key stands: TOML's own reader forgets, and nobody should have to search."""

import re
from collections.abc import Iterator
from typing import Final

_HEADER: Final = re.compile(r"^\s*(?P<open>\[\[?)(?P<name>[^\[\]]+)\]")
_ENTRY: Final = re.compile(r"^\s*(?P<name>[\w.\"'-]+)\s*=")
_INDEX: Final = re.compile(r"\[(\d+)\]")
_UNKNOWN: Final = re.compile(r"unknown field `(?P<field>[^`]+)`")

_Path = tuple[str, ...]


def line_of(text: str, key: str, reason: str) -> int | None:
    """The line, from 1, of the key, or of the innermost table around it that is written out; None where neither is.

    Args:
        key: As errors name it, `interventions[2].cost`.
        reason: The error's. Where it speaks of a field that is not known in that table, the field is looked for.
    """
    named = _UNKNOWN.search(reason)
    within = () if key.startswith("(") else _steps(key)
    wanted = within if named is None else (*within, named["field"])
    best, found = 0, None
    for number, path in _paths(text):
        if len(path) > best and path == wanted[: len(path)]:
            best, found = len(path), number
    return found


def _paths(text: str) -> Iterator[tuple[int, _Path]]:
    """What each line begins: a table, or a key of the table above it. Text in several lines may be taken for either."""
    table: _Path = ()
    entries: dict[_Path, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if (header := _HEADER.match(line)) is not None:
            table = _inside(_steps(header["name"]), entries)
            if header["open"] == "[[":
                entries[table] = entries.get(table, -1) + 1
                table = _inside(table, entries)
            yield number, table
        elif (entry := _ENTRY.match(line)) is not None:
            yield number, (*table, *_steps(entry["name"]))


def _inside(table: _Path, entries: dict[_Path, int]) -> _Path:
    """With the index of the entry that is being written wherever the path goes through an array of tables."""
    path: _Path = ()
    for step in table:
        path = (*path, step)
        if path in entries:
            path = (*path, str(entries[path]))
    return path


def _steps(key: str) -> _Path:
    return tuple(step.strip(" \"'") for step in _INDEX.sub(r".\1", key).split("."))
