"""Bytes to messages. Whatever is wrong with them is answered with the place where it is wrong."""

import json
import math
import re
from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.policy.features import escape

T = TypeVar("T")

_FIELD: Final = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>.*)`$")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class MalformedBody(InvalidInput):
    """The body is no JSON document in UTF-8 at all."""


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, *, parts: bool = False) -> T:
    """The message in `body`.

    Args:
        parts: Its parts stay raw and are decoded one by one later, so that what is wrong in one spoils no other.

    Raises:
        InvalidInput: Names the field by JSON pointer, also for NaN, infinities and numbers out of range.
        MalformedBody: It is not JSON.
    """
    try:
        message = decoder.decode(body)
        # PostgreSQL text cannot hold U+0000, and one such string would fail the whole commit it is in.
        nul = None if parts or b"\\u0000" not in bytes(body) else _nul(bytes(body))
    except msgspec.ValidationError as error:
        raise _invalid(error, bytes(body)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if pointer := _not_finite(bytes(body)):
            raise InvalidInput(pointer, "must be a finite number") from error
        raise MalformedBody("", f"the body is not JSON in UTF-8: {error}") from error
    except RecursionError as error:
        raise MalformedBody("", "the body is nested too deeply") from error
    if nul is not None:
        raise InvalidInput(nul, "must not contain the character U+0000")
    return message


def _invalid(error: msgspec.ValidationError, body: bytes) -> InvalidInput:
    reason, _, path = str(error).partition(" - at `")
    if "..." in path or "out of range" in reason:
        # A path through a free-form object has lost its key; numbers out of range are found again by value.
        pointer = _not_finite(body)
        if pointer:
            return InvalidInput(pointer, "must be a finite number within the range of a 64-bit float")
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(path.rstrip("`").replace("[...]", "")))
    if match := _FIELD.match(reason):
        pointer = f"{pointer}/{escape(match['name'])}"
    return InvalidInput(pointer, reason[:1].lower() + reason[1:])


def _not_finite(body: bytes) -> str | None:
    """Where the first number stands that is not finite; only after a failure, so the slow parser will do."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return next((pointer for pointer, value in _values(document) if _is_not_finite(value)), None)


def _is_not_finite(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 1024


def _nul(body: bytes) -> str | None:
    """Where the first U+0000 stands; a key's place is that of its object."""
    for pointer, value in _values(json.loads(body)):
        if isinstance(value, str) and "\0" in value:
            return pointer
        if isinstance(value, dict) and any("\0" in key for key in value):
            return pointer or "/"
    return None


def _values(document: object) -> Iterator[tuple[str, object]]:
    """Every value with its JSON pointer, in order. Without recursion: a body nests deeper than Python's stack is."""
    yield "", document
    open_ = [("", _members(document))]
    while open_:
        above, members = open_[-1]
        member = next(members, None)
        if member is None:
            open_.pop()
            continue
        key, value = member
        pointer = f"{above}/{key}"
        yield pointer, value
        open_.append((pointer, _members(value)))


def _members(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        return ((escape(key), held) for key, held in value.items())
    if isinstance(value, list):
        return ((str(index), held) for index, held in enumerate(value))
    return iter(())
