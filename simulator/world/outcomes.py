"""What happens after an intervention: orders, margins and complaints, their rates, and what they are worth."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from cxi_bandit.policy.manifest import Manifest
from simulator.world.shoppers import Float64s, Ints

FULLEST_MARGIN: Final = 60.0
"""Expected margin of a boundless basket, EUR; with its noise it stays below the 100 that manifests declare."""

_ENGAGED_LOG_ODDS: Final = 1.2
_TAIL_SHARE: Final = 0.025
_TAIL_TIMES: Final = 13.0
_TAIL_FULLEST: Final = 7.0
ROLES: Final = ("engagement", "order", "margin", "complaint")


def roles(manifest: Manifest) -> dict[str, str]:
    """Which metric of a shipped manifest is the engagement, the order, the margin and the complaint: in that order."""
    return dict(zip(ROLES, manifest.reward.metrics, strict=True))


def engaged(order: Float64s) -> Float64s:
    """Probability of the step before an order: everybody who orders, and some who do not."""
    odds = order / (1.0 - order) * np.exp(_ENGAGED_LOG_ODDS)
    probability: Float64s = odds / (1.0 + odds)
    return probability


def margin_of(basket: Float64s, *, heavy_tail: bool, rng: np.random.Generator | None) -> Float64s:
    """Margin of an order, EUR: its expectation without `rng`, a draw with it; both have the same mean.

    Plain noise lies in [0.6, 1.4] times the expectation. With a heavy tail one order in forty earns thirteen times the
    mean, and the whole is scaled so that even that one stays below 100 EUR.
    """
    filled = 1.0 - np.exp(-basket / 120.0)
    expected: Float64s = (_TAIL_FULLEST if heavy_tail else FULLEST_MARGIN) * filled
    if rng is None:
        return expected
    if heavy_tail:
        rest = (1.0 - _TAIL_SHARE * _TAIL_TIMES) / (1.0 - _TAIL_SHARE)
        times = np.where(rng.random(len(basket)) < _TAIL_SHARE, _TAIL_TIMES, rest)
    else:
        times = rng.uniform(0.6, 1.4, len(basket))
    drawn: Float64s = expected * times
    return drawn


@dataclass(frozen=True, eq=False, kw_only=True)
class Rates:
    """What would happen to each segment after each intervention.

    Attributes:
        order: Probability of an order, shape (n, K, segments, 2); the last axis is without and with a real defect.
        complaint: Probability of a complaint, same shape.
        margin: Expected margin of an order, EUR, shape (n,).
    """

    order: Float64s
    complaint: Float64s
    margin: Float64s

    def value(self, manifest: Manifest) -> Float64s:
        """Expected reward, cost taken off, shape (n, K, segments, 2).

        No clipping enters: every possible reward lies within the range that the manifest declares.
        """
        weight = {role: manifest.reward.metrics[metric].weight for role, metric in roles(manifest).items()}
        cost = np.array([entry.cost for entry in manifest.interventions])
        per_order = weight["order"] + weight["margin"] * self.margin
        value: Float64s = (
            weight["engagement"] * engaged(self.order)
            + per_order[:, None, None, None] * self.order
            + weight["complaint"] * self.complaint
            - cost[None, :, None, None]
        )
        return value

    def happenings(self, segment: Ints, real: Ints, margin: Float64s, rng: np.random.Generator) -> list["Happening"]:
        """What each shopper, whose hidden truth is given here, would do after each intervention."""
        rows = np.arange(len(segment))
        order, complaint = self.order[rows, :, segment, real], self.complaint[rows, :, segment, real]
        u = rng.random((len(rows), 2))
        columns = zip(order, complaint, u.tolist(), margin.tolist(), strict=True)
        return [
            Happening(order=mine, complaint=cross, u_order=u_order, u_complaint=u_complaint, margin=earned)
            for mine, cross, (u_order, u_complaint), earned in columns
        ]


@dataclass(frozen=True, eq=False, kw_only=True)
class Happening:
    """One shopper's reaction to every intervention; one pair of uniform numbers decides all, so comparisons are fair.

    Attributes:
        order: Probability of an order after each intervention, shape (K,).
        complaint: Probability of a complaint, shape (K,).
        margin: EUR, if there is an order.
    """

    order: Float64s
    complaint: Float64s
    u_order: float
    u_complaint: float
    margin: float

    def after(self, intervention: int) -> dict[str, float]:
        """What happens after the intervention with this place in the catalogue: value by role, empty for nothing."""
        found: dict[str, float] = {}
        order = float(self.order[intervention])
        if self.u_order < order:
            found = {"engagement": 1.0, "order": 1.0, "margin": self.margin}
        elif self.u_order < order * math.exp(_ENGAGED_LOG_ODDS) / (1.0 - order + order * math.exp(_ENGAGED_LOG_ODDS)):
            found = {"engagement": 1.0}
        if self.u_complaint < self.complaint[intervention]:
            found["complaint"] = 1.0
        return found
