"""Caps: what a shopper has had too often, or too lately, to get it again now."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from cxi_bandit.domain.decision import HOLD
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.eligibility import Withheld
from cxi_bandit.policy.manifest import Manifest

_UNKNOWN: Final = 'needs a shopper to count for, as limits.anonymous is "hold"'
_NO_PERMIT: Final = "needs a permit of the shopper's caps, and none was given"


class Use(NamedTuple):
    """Something a shopper got, or with a permit that is out may be getting: then all that may be drawn under it."""

    at: datetime
    interventions: tuple[InterventionId, ...]


class Rule(msgspec.Struct, frozen=True):
    """Most so many of these, taken together, within the time before a decision."""

    interventions: frozenset[InterventionId]
    most: int
    window: timedelta
    words: str


class Caps(msgspec.Struct, frozen=True):
    """A manifest's rules about one shopper.

    Attributes:
        about: Every intervention that some rule counts.
        longest: How far back the rules look.
        counts_nobody: Whether who is not known gets none of them.
    """

    rules: tuple[Rule, ...]
    about: frozenset[InterventionId]
    longest: timedelta
    counts_nobody: bool

    def withheld(self, uses: Iterable[Use], at: datetime) -> dict[InterventionId, str]:
        """What a decision made at a moment may not draw. Uses of later moments count, or clocks could be outrun."""
        known = list(uses)
        found: dict[InterventionId, str] = {}
        for rule in self.rules:
            since = at - rule.window
            had = sum(use.at > since and not rule.interventions.isdisjoint(use.interventions) for use in known)
            if had >= rule.most:
                for name in sorted(rule.interventions - found.keys()):
                    found[name] = rule.words
        return found

    @property
    def unknown(self) -> Withheld:
        """What a request without a subject may not draw."""
        return dict.fromkeys(self.about, _UNKNOWN) if self.counts_nobody else {}

    def unpermitted(self, permitted: frozenset[InterventionId], refused: Withheld) -> Withheld:
        """What may not be drawn under a permit for some: what it was refused for, and all that nobody asked about."""
        return {name: refused.get(name, _NO_PERMIT) for name in self.about - permitted}


def caps_of(manifest: Manifest) -> Caps | None:
    """The manifest's caps and cooldown; None where it has neither."""
    limits = manifest.limits
    others = frozenset(manifest.catalogue) - {HOLD}
    rules = [
        Rule(
            frozenset(map(InterventionId, cap.interventions)) or others,
            cap.most,
            timedelta(seconds=cap.seconds),
            f"the shopper has had {cap.most} in {cap.seconds:g} s",
        )
        for cap in limits.caps
    ]
    if limits.cooldown_seconds:
        words = f"the shopper is left alone for {limits.cooldown_seconds:g} s after an intervention"
        rules.append(Rule(others, 1, timedelta(seconds=limits.cooldown_seconds), words))
    if not rules:
        return None
    return Caps(
        tuple(rules),
        frozenset().union(*[rule.interventions for rule in rules]),
        max(rule.window for rule in rules),
        limits.anonymous == "hold",
    )
