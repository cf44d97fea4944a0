"""Budgets: money and uses of one day, in whole numbers, so that no rounding ever spends more than there is."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.manifest import Manifest

EXPLORING: Final = InterventionId("")
"""The line of what exploring costs, whichever intervention was drawn for it; no intervention is named so."""

_MICROS: Final = 1_000_000
_PIECES: Final = 8
"""A lease is at most an eighth of what is left, so that what lies about unspent shrinks as a budget ends."""


class Amount(NamedTuple):
    """So many uses, and so much money in millionths of its unit."""

    uses: int
    money: int


class Bound(NamedTuple):
    """The most of each on one day; None for no bound."""

    uses: int | None
    money: int | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What an arm may spend on one thing in one day.

    Attributes:
        name: An intervention, or `EXPLORING`.
        unit: What one unit takes. A lease is a whole number of units: uses, or millionths of money for `EXPLORING`.
        least: The fewest units that are of use: a lease below it is renewed.
        part: The arm's own bound.
        whole: That of all arms together.
        words: For those who ask why it was not eligible.
    """

    name: InterventionId
    unit: Amount
    least: int
    part: Bound
    whole: Bound
    words: str


def micros(amount: float) -> int | None:
    """An amount of money as it is written, in millionths; None where it has more than six decimals."""
    exact = Decimal(repr(amount)) * _MICROS
    whole = int(exact)
    return whole if whole == exact else None


def price(manifest: Manifest, name: InterventionId) -> int:
    """What one use costs, in millionths."""
    return micros(manifest.intervention(name).price) or 0


def lines(manifest: Manifest, part: float) -> dict[InterventionId, Line]:
    """A manifest's budgets, by what they are for.

    Args:
        part: The arm's, in (0, 1].
    """
    found = {}
    for entry in manifest.interventions:
        if entry.budget_per_day is None and entry.per_day is None:
            continue
        name = InterventionId(entry.id)
        money = None if entry.budget_per_day is None else micros(entry.budget_per_day)
        whole = Bound(entry.per_day, money)
        told = {"budget_per_day": entry.budget_per_day, "per_day": entry.per_day}
        rules = " and ".join(f"{key} {value:g}" for key, value in told.items() if value is not None)
        found[name] = Line(
            name=name,
            unit=Amount(1, price(manifest, name)),
            least=1,
            part=_part(whole, part),
            whole=whole,
            words=f"nothing is left on lease of {rules}",
        )
    exploring = manifest.limits.exploration_cost_per_day
    if exploring is not None:
        whole = Bound(None, micros(exploring))
        found[EXPLORING] = Line(
            name=EXPLORING,
            unit=Amount(0, 1),
            least=max(price(manifest, name) for name in manifest.catalogue),
            part=_part(whole, part),
            whole=whole,
            words=f"would cost more than is left on lease of exploration_cost_per_day {exploring:g}",
        )
    return found


def _part(whole: Bound, part: float) -> Bound:
    share = Fraction(part)
    return Bound(*[None if most is None else int(most * share) for most in whole])


def granted(asked: int, held: int, line: Line, of_arm: Amount, of_all: Amount) -> int:
    """How many of `asked` units may be leased, given what is leased or spent of the day already.

    With what is held of an earlier lease at most an eighth of what is left, though never fewer than are of use, and
    never more than there are.
    """
    left = min(_room(line.part, of_arm, line.unit), _room(line.whole, of_all, line.unit))
    return max(min(asked, left, max(line.least, -(-left // _PIECES)) - held), 0)


def _room(bound: Bound, taken: Amount, unit: Amount) -> int:
    rooms = [
        (most - used) // each
        for most, used, each in zip(bound, taken, unit, strict=True)
        if most is not None and each > 0
    ]
    return min(rooms)


class Day(NamedTuple):
    """A day where it is counted, with its first moment and that of the next one in UTC."""

    date: date
    begins: datetime
    ends: datetime


def day_around(at: datetime, time_zone: str) -> Day:
    """The day of a moment with its bounds: for what is decided more often than days change."""
    day, zone = day_of(at, time_zone), _zone(time_zone)
    begins, ends = [datetime.combine(one, time.min, zone).astimezone(UTC) for one in (day, day + timedelta(days=1))]
    return Day(day, begins, ends)


def day_of(at: datetime, time_zone: str) -> date:
    """The day of a moment, where it is counted."""
    return at.astimezone(_zone(time_zone)).date()


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
