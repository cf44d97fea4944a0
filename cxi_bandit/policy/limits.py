"""What is wrong with a manifest's limits: budgets that nothing is spent of, caps about nothing, unknown time zones."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from cxi_bandit.domain.decision import HOLD
from cxi_bandit.policy.budgets import micros
from cxi_bandit.policy.manifest import Intervention, Manifest

_TOO_FINE = "has more than six decimals; money is counted in millionths"


def unlimitable(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Keys and reasons, as the manifest's other contradictions."""
    for index, entry in enumerate(manifest.interventions):
        yield from _budgets(entry, f"interventions[{index}]")
    yield from _caps(manifest)
    yield from _exploring(manifest)
    try:
        ZoneInfo(manifest.limits.time_zone)
    except (ValueError, KeyError, OSError):
        # What is no name at all may be a directory of the time zones' files, which then cannot be read.
        yield "limits.time_zone", f"{manifest.limits.time_zone!r} is no IANA time zone; write UTC or one as Europe/Rome"


def _budgets(entry: Intervention, key: str) -> Iterator[tuple[str, str]]:
    if entry.id == HOLD:
        if entry.price or entry.budget_per_day is not None or entry.per_day is not None:
            yield "interventions", "'hold' must be eligible always: give it no price, budget_per_day or per_day"
        return
    for name, amount in (("price", entry.price), ("budget_per_day", entry.budget_per_day)):
        if amount is not None and micros(amount) is None:
            yield f"{key}.{name}", _TOO_FINE
    if entry.budget_per_day is None:
        return
    if not entry.price:
        yield f"{key}.budget_per_day", "is never spent without a `price` per use; for a number of uses write `per_day`"
    elif entry.price > entry.budget_per_day:
        yield (
            f"{key}.budget_per_day",
            f"does not pay for one use at {entry.price:g}; leave the intervention out instead",
        )


def _caps(manifest: Manifest) -> Iterator[tuple[str, str]]:
    known = set(manifest.catalogue)
    for index, cap in enumerate(manifest.limits.caps):
        key = f"limits.caps[{index}].interventions"
        for name in cap.interventions:
            if name == HOLD:
                yield key, "'hold' is what a shopper gets who may get nothing else; it cannot be capped"
            elif name not in known:
                yield key, f"{name!r} is not among [[interventions]]"
        if len(set(cap.interventions)) != len(cap.interventions):
            yield key, "has an intervention twice"
    limits = manifest.limits
    if limits.anonymous == "hold" and not limits.caps and not limits.cooldown_seconds:
        yield "limits.anonymous", "concerns caps and the cooldown, and there are none"


def _exploring(manifest: Manifest) -> Iterator[tuple[str, str]]:
    most = manifest.limits.exploration_cost_per_day
    if most is None:
        return
    prices = [entry.price for entry in manifest.interventions if entry.price]
    if not prices:
        yield "limits.exploration_cost_per_day", "is never spent: no intervention has a `price`"
    elif micros(most) is None:
        yield "limits.exploration_cost_per_day", _TOO_FINE
    elif 0 < most < min(prices):
        yield "limits.exploration_cost_per_day", f"pays for no use: the cheapest is {min(prices):g}; write 0 for none"
