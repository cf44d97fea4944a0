"""Valid inputs broken byte by byte. The same seed gives the same inputs."""

import random
from collections.abc import Callable, Sequence
from typing import Final

Mutation = Callable[[random.Random, bytearray], None]

TOKENS: Final = (
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"-0.0", b"-0", b"1E39", b"0x10", b"1_000",
    b"1.", b"9" * 400, b"-" + b"9" * 5000, b"18446744073709551616", b"9223372036854775808", b"null", b"true", b"[]",
    b"{}", b'""', b'"\\u0000"', b"\\u0000", b'"\\ud800"', b"\\ud83d\\ude00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xef\xbb\xbf", b"\xf4\x90\x80\x80", b"\x00", b"\r\n", b"\n", b"\t", b"\x7f", b"\x85", b"\xe2\x80\xa8", b" ",
    b"[" * 50, b'{"a":' * 50, b"[" * 5000, b"]", b"}", b",", b":", b"'", b'"', b"\\", b"/", b"..", b"%00", b"%2e",
    b"%", b"&", b"=", b"|", b"v1,", b"v2,", b"v1,=", b",", b"whsec_", b"Bearer ", b"wait=", b"wait=99999999999",
    b"wait=-1", b"?dry_run=true", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00",
    b"2026-02-30T00:00:00Z", b"2026-11-20T11:30:60Z", b"1.7e9", b"99999999999",
    b"00000000-0000-0000-0000-000000000000", b"{}" * 100, b"<", b"{{", b"$", b"__proto__", b"a" * 300, b"[[", b"]]",
    b"# ", b'"""', b"[a.b]\n", b"= 1\n", b"inf", b"nan", b"-inf", b"1979-05-27", b"0o7", b"hold", b'"hold"',
)  # fmt: skip


def mutated(drawn: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus, broken in one to four ways."""
    data = bytearray(drawn.choice(corpus))
    for _ in range(drawn.choice((1, 1, 1, 2, 2, 3, 4))):
        if drawn.random() < 0.1:
            _splice(drawn, data, drawn.choice(corpus))
        else:
            drawn.choice(_WAYS)(drawn, data)
    return bytes(data)


def _place(drawn: random.Random, data: bytearray) -> int:
    return int(drawn.random() * (len(data) + 1))


def _splice(drawn: random.Random, data: bytearray, other: bytes) -> None:
    data[_place(drawn, data) :] = other[int(drawn.random() * (len(other) + 1)) :]


def _flip(drawn: random.Random, data: bytearray) -> None:
    if data:
        data[int(drawn.random() * len(data))] ^= 1 << int(drawn.random() * 8)


def _change(drawn: random.Random, data: bytearray) -> None:
    if data:
        data[int(drawn.random() * len(data))] = int(drawn.random() * 256)


def _insert(drawn: random.Random, data: bytearray) -> None:
    place = _place(drawn, data)
    data[place:place] = drawn.randbytes(1 + int(drawn.random() * 4))


def _insert_token(drawn: random.Random, data: bytearray) -> None:
    place = _place(drawn, data)
    data[place:place] = drawn.choice(TOKENS)


def _replace_word(drawn: random.Random, data: bytearray) -> None:
    """Between two separators, so that what surrounds it still parses."""
    start = _place(drawn, data)
    while start < len(data) and data[start] not in b":,=[ ":
        start += 1
    end = start = start + 1
    while end < len(data) and data[end] not in b",]}\n ":
        end += 1
    data[start:end] = drawn.choice(TOKENS)


def _delete(drawn: random.Random, data: bytearray) -> None:
    place = _place(drawn, data)
    del data[place : place + 1 + int(drawn.random() * 8)]


def _cut(drawn: random.Random, data: bytearray) -> None:
    del data[_place(drawn, data) :]


def _repeat(drawn: random.Random, data: bytearray) -> None:
    place = _place(drawn, data)
    piece = data[place : place + 1 + int(drawn.random() * 40)]
    data[place:place] = piece * (1 + int(drawn.random() * 3))


def _swap(drawn: random.Random, data: bytearray) -> None:
    """Two pieces of the same length change places: keys move, quotes stay mostly paired."""
    size = 1 + int(drawn.random() * 12)
    first, second = _place(drawn, data), _place(drawn, data)
    data[first : first + size], data[second : second + size] = data[second : second + size], data[first : first + size]


_WAYS: Final[tuple[Mutation, ...]] = (
    _flip, _change, _insert, _insert_token, _insert_token, _replace_word, _replace_word, _replace_word, _delete, _cut,
    _repeat, _swap,
)  # fmt: skip
