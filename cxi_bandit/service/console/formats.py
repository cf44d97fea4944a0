"""How numbers, shares, times and names are written on a page. What is not known is a dash."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup, escape

UNKNOWN: Final = "\N{EN DASH}"
_MINUTE_SECONDS: Final = 60
_HOUR_SECONDS: Final = 3600
_DAY_SECONDS: Final = 86_400
_SHORT: Final = 12
_WHOLE: Final = 1000


def number(value: float | None) -> str:
    """Whole numbers by thousands; others with four significant digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.4g}" if isinstance(value, float) and abs(value) < _WHOLE else f"{value:,.0f}"
    return text.replace("-", "\N{MINUS SIGN}")


def share(value: float | None) -> str:
    """A share of 1, in per cent with three significant digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{100 * value:.3g} %".replace("-", "\N{MINUS SIGN}")


def moment(value: datetime | None) -> Markup | str:
    """A time in UTC, to the second."""
    if value is None:
        return UNKNOWN
    at = value.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        at.isoformat(timespec="seconds"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def duration(seconds: float | None) -> str:
    """A length of time in the unit that a person would use."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    for unit, name in ((_DAY_SECONDS, "d"), (_HOUR_SECONDS, "h"), (_MINUTE_SECONDS, "min")):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def words(name: object) -> str:
    """A name from the code as words: `free_shipping` is free shipping."""
    return str(name).replace("_", " ")


def short(name: str | bytes | None) -> Markup | str:
    """The beginning of a digest, which is whole in its title."""
    if name is None:
        return UNKNOWN
    text = name.hex() if isinstance(name, bytes) else name
    return Markup('<code title="{}">{}</code>').format(text, text[:_SHORT])


def known(value: object) -> Markup | str:
    """A value as it is, or a dash."""
    return UNKNOWN if value is None or value == "" else escape(value)


FORMATS: Final[dict[str, Callable[..., Any]]] = {
    "number": number,
    "share": share,
    "moment": moment,
    "duration": duration,
    "words": words,
    "short": short,
    "known": known,
}
