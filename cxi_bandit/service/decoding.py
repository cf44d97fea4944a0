"""Bytes to messages. Whatever is wrong with them is answered with the place where it is wrong."""

import json
import math
import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from cxi_bandit.domain.errors import InvalidInput

T = TypeVar("T")
_Find = Callable[[object, str], str | None]

_FIELD: Final = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>.*)`$")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class MalformedBody(InvalidInput):
    """The body is no JSON document in UTF-8 at all."""


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, at: str = "") -> T:
    """The message in `body`.

    Args:
        at: JSON pointer of `body` within the request.

    Raises:
        InvalidInput: Names the field by JSON pointer, also for NaN, infinities and numbers out of range.
        MalformedBody: It is not JSON.
    """
    try:
        message = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(error, bytes(body), at) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if pointer := _not_finite(bytes(body)):
            raise InvalidInput(at + pointer, "must be a finite number") from error
        raise MalformedBody(at, f"the body is not JSON in UTF-8: {error}") from error
    except RecursionError as error:
        raise MalformedBody(at, "the body is nested too deeply") from error
    # PostgreSQL text cannot hold U+0000, and one such string would fail the whole commit it is in.
    if b"\\u0000" in bytes(body) and (pointer := _nul(json.loads(bytes(body)), "")):
        raise InvalidInput(at + pointer, "must not contain the character U+0000")
    return message


def _invalid(error: msgspec.ValidationError, body: bytes, at: str) -> InvalidInput:
    reason, _, path = str(error).partition(" - at `")
    if "..." in path or "out of range" in reason:
        # A path through a free-form object has lost its key; numbers out of range are found again by value.
        pointer = _not_finite(body)
        if pointer:
            return InvalidInput(at + pointer, "must be a finite number within the range of a 64-bit float")
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(path.rstrip("`").replace("[...]", "")))
    if match := _FIELD.match(reason):
        pointer = f"{pointer}/{escape(match['name'])}"
    return InvalidInput(at + pointer, reason[:1].lower() + reason[1:])


def _not_finite(body: bytes) -> str | None:
    """Where the first number stands that is not finite; only after a failure, so the slow parser will do."""
    try:
        return _find_not_finite(json.loads(body), "")
    except (ValueError, RecursionError):
        return None


def _find_not_finite(value: object, pointer: str) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else pointer
    if isinstance(value, int) and not isinstance(value, bool):
        return pointer if abs(value) >= 1 << 1024 else None
    return _first(value, pointer, _find_not_finite)


def _nul(value: object, pointer: str) -> str | None:
    if isinstance(value, str):
        return pointer if "\0" in value else None
    if isinstance(value, dict) and any("\0" in key for key in value):
        return pointer or "/"
    return _first(value, pointer, _nul)


def _first(value: object, pointer: str, find: _Find) -> str | None:
    pairs: list[tuple[str, object]] = []
    if isinstance(value, dict):
        pairs = [(escape(key), held) for key, held in value.items()]
    elif isinstance(value, list):
        pairs = [(str(index), held) for index, held in enumerate(value)]
    for key, held in pairs:
        found = find(held, f"{pointer}/{key}")
        if found is not None:
            return found
    return None


def escape(key: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
