"""What a decision sees: context features as the shipped manifests declare them, drawn surface by surface."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cxi_bandit.domain.decision import Features, FeatureValue
from simulator.world.shoppers import DEVICES, TIERS, Float64s, Shoppers

EVENING_STARTS: Final = 18


@dataclass(frozen=True, eq=False, kw_only=True)
class Contexts:
    """n contexts of one surface.

    Attributes:
        features: One dict a decision, ready to be sent.
        basket: What is at stake, EUR, shape (n,).
        evening: After 18:00, when patience is short, shape (n,).
    """

    features: list[Features]
    basket: Float64s
    evening: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def draw_contexts(surface: str, shoppers: Shoppers, rng: np.random.Generator) -> Contexts:
    """Draws what is seen beside the shoppers' own traits. None of it depends on the hidden segment."""
    n = len(shoppers)
    hour = rng.integers(0, 24, n)
    cart = _amounts(3.8, n, rng)
    columns: dict[str, list[FeatureValue]] = {
        "device": [DEVICES[code] for code in shoppers.device.tolist()],
        "loyalty_tier": [TIERS[code] for code in shoppers.tier.tolist()],
        "visits_30d": shoppers.visits.tolist(),
        "hour": hour.tolist(),
        "cart_value": cart.tolist(),
    }
    basket = cart
    if surface == "search":
        columns["query_words"] = np.minimum(1 + rng.poisson(1.6, n), 20).tolist()
    elif surface == "detail_page":
        price = _amounts(3.6, n, rng)
        columns["price"] = price.tolist()
        columns["delivery_days"] = np.minimum(1 + rng.poisson(3.0, n), 60).tolist()
        basket = price
    elif surface == "cart":
        columns["items"] = np.minimum(1 + rng.poisson(1.8, n), 50).tolist()
        columns["coupon_attempts"] = np.minimum(rng.geometric(0.6, n) - 1, 10).tolist()
        columns["guest"] = ((shoppers.tier == 0) & (rng.random(n) < 0.5)).tolist()  # noqa: PLR2004 - every other one
    else:
        columns["days_since_order"] = np.minimum(rng.geometric(1 / 50, n), 720).tolist()
        columns["orders_12m"] = np.minimum(1 + rng.poisson(4.0, n), 100).tolist()
        columns["subscribed"] = (rng.random(n) < 0.35).tolist()  # noqa: PLR2004 - about one in three
    names = tuple(columns)
    rows = zip(*columns.values(), strict=True)
    return Contexts(
        features=[dict(zip(names, row, strict=True)) for row in rows], basket=basket, evening=hour >= EVENING_STARTS
    )


def _amounts(log_median: float, n: int, rng: np.random.Generator) -> Float64s:
    """Amounts of money, EUR and cents, log-normal."""
    drawn: Float64s = np.exp(rng.normal(log_median, 0.9, n)).clip(0.0, 2000.0).round(2).astype(np.float64)
    return drawn
