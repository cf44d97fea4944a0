"""What interventions really do, as data: the truth that the engine must find out and that we can look up.

Nobody likes everything. `appeal` and `annoyance` are given per segment, in the order of `shoppers.SEGMENTS`:
bargain hunter, regular, hurried, researcher, newcomer. The right intervention matters more here than in most shops, so
that learning can be watched in a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PerSegment = tuple[float, float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one intervention does to each segment.

    Attributes:
        appeal: Added to the log-odds of an order, times how well it fits the defect; negative puts off.
        annoyance: Added probability of a complaint; threefold where there was no real defect.
    """

    appeal: PerSegment
    annoyance: PerSegment


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What a defect does.

    Attributes:
        harm: Taken off the log-odds of an order at severity 1.
        fit: How well each intervention answers it, 1 in full; those not named do not answer it.
    """

    harm: float
    fit: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SurfaceTruth:
    """One surface: the log-odds of an order when nothing is wrong, its defects and its interventions."""

    base: float
    troubles: Mapping[str, Trouble]
    effects: Mapping[str, Effect]


_CHAT: Final = Effect(appeal=(0.6, 3.4, -3.4, 3.4, 7.4), annoyance=(0.07, 0.12, 0.42, 0.06, 0.06))
_SHIPPING: Final = Effect(appeal=(4.4, 1.6, 3.0, 0.6, 2.4), annoyance=(0.0, 0.02, 0.04, 0.04, 0.02))

SEARCH: Final = SurfaceTruth(
    base=-1.1,
    troubles={
        "zero_results": Trouble(
            harm=1.9, fit={"spell_correction": 1.0, "similar_products": 1.0, "welcome_voucher": 0.4, "live_chat": 0.7}
        ),
        "irrelevant_results": Trouble(
            harm=1.2, fit={"guided_filters": 1.0, "personal_picks": 1.0, "similar_products": 0.4, "live_chat": 0.5}
        ),
        "repeated_search": Trouble(
            harm=1.6, fit={"guided_filters": 1.0, "live_chat": 1.0, "spell_correction": 0.5, "welcome_voucher": 0.6}
        ),
        "slow_results": Trouble(harm=1.0, fit={"personal_picks": 0.8, "welcome_voucher": 1.0}),
    },
    effects={
        "spell_correction": Effect(appeal=(1.6, 1.8, 4.0, 0.8, 1.6), annoyance=(0.02, 0.02, 0.0, 0.04, 0.02)),
        "similar_products": Effect(appeal=(2.8, 0.8, -0.6, 3.6, 1.6), annoyance=(0.02, 0.04, 0.12, 0.0, 0.04)),
        "guided_filters": Effect(appeal=(0.8, 0.6, -1.8, 4.4, 3.6), annoyance=(0.07, 0.1, 0.26, 0.0, 0.02)),
        "personal_picks": Effect(appeal=(1.0, 4.4, 2.8, -1.0, -1.2), annoyance=(0.04, 0.0, 0.02, 0.1, 0.16)),
        "live_chat": _CHAT,
        "welcome_voucher": Effect(appeal=(7.6, 1.2, 2.0, -2.0, 3.8), annoyance=(0.0, 0.04, 0.07, 0.12, 0.02)),
    },
)

DETAIL_PAGE: Final = SurfaceTruth(
    base=-0.9,
    troubles={
        "price_jump": Trouble(
            harm=1.9,
            fit={
                "price_match": 1.0,
                "alternatives": 0.7,
                "free_shipping": 0.6,
                "expert_content": 0.4,
                "live_chat": 0.3,
            },
        ),
        "slow_delivery": Trouble(harm=1.4, fit={"faster_delivery": 1.0, "free_shipping": 0.7, "alternatives": 0.3}),
        "out_of_stock": Trouble(
            harm=2.6, fit={"alternatives": 1.0, "back_in_stock_alert": 0.8, "faster_delivery": 0.5, "live_chat": 0.6}
        ),
        "thin_content": Trouble(harm=1.2, fit={"expert_content": 1.0, "live_chat": 0.9, "alternatives": 0.4}),
        "bad_reviews": Trouble(harm=1.3, fit={"expert_content": 0.9, "alternatives": 0.8, "live_chat": 0.6}),
    },
    effects={
        "price_match": Effect(appeal=(8.8, 2.8, 3.0, 2.0, 4.0), annoyance=(0.0, 0.0, 0.02, 0.06, 0.02)),
        "free_shipping": _SHIPPING,
        "faster_delivery": Effect(appeal=(0.8, 3.6, 6.4, 0.8, 1.6), annoyance=(0.02, 0.0, 0.0, 0.04, 0.02)),
        "alternatives": Effect(appeal=(3.2, 0.4, 0.8, 3.2, 1.2), annoyance=(0.02, 0.1, 0.07, 0.0, 0.04)),
        "expert_content": Effect(appeal=(0.4, 0.8, -1.2, 4.8, 3.2), annoyance=(0.04, 0.04, 0.16, 0.0, 0.0)),
        "back_in_stock_alert": Effect(appeal=(1.6, 4.0, -0.4, 2.4, 0.4), annoyance=(0.02, 0.0, 0.1, 0.02, 0.06)),
        "live_chat": _CHAT,
    },
)

CART: Final = SurfaceTruth(
    base=0.2,
    troubles={
        "coupon_failure": Trouble(harm=1.7, fit={"honour_coupon": 1.0, "free_shipping": 0.7, "reassurance": 0.2}),
        "payment_declined": Trouble(
            harm=2.2, fit={"other_payment": 1.0, "save_cart": 0.5, "call_back": 0.8, "reassurance": 0.4}
        ),
        "shipping_shock": Trouble(harm=1.8, fit={"free_shipping": 1.0, "save_cart": 0.3, "reassurance": 0.4}),
        "item_gone": Trouble(harm=1.7, fit={"swap_item": 1.0, "save_cart": 0.6, "call_back": 0.5}),
        "checkout_stall": Trouble(
            harm=1.2, fit={"reassurance": 1.0, "save_cart": 0.8, "free_shipping": 0.5, "call_back": 0.6}
        ),
    },
    effects={
        "honour_coupon": Effect(appeal=(6.8, 2.4, 2.4, 1.0, 3.4), annoyance=(0.0, 0.0, 0.0, 0.02, 0.0)),
        "free_shipping": _SHIPPING,
        "other_payment": Effect(appeal=(1.6, 1.0, 4.4, 0.8, 3.2), annoyance=(0.02, 0.07, 0.02, 0.06, 0.02)),
        "swap_item": Effect(appeal=(2.8, 0.4, 3.6, -1.2, 1.6), annoyance=(0.02, 0.12, 0.02, 0.16, 0.04)),
        "save_cart": Effect(appeal=(0.6, 2.4, -1.2, 4.0, 0.4), annoyance=(0.06, 0.02, 0.16, 0.0, 0.07)),
        "reassurance": Effect(appeal=(0.8, 0.2, -1.0, 2.8, 4.8), annoyance=(0.02, 0.04, 0.07, 0.0, 0.0)),
        "call_back": Effect(appeal=(0.4, 4.4, -4.4, 2.8, 7.2), annoyance=(0.12, 0.12, 0.5, 0.07, 0.07)),
    },
)

REPEAT_PURCHASE: Final = SurfaceTruth(
    base=-0.6,
    troubles={
        "subscription_lapse": Trouble(
            harm=1.7, fit={"loyalty_price": 0.9, "flexible_schedule": 1.0, "reminder": 0.7, "bundle_offer": 0.4}
        ),
        "reorder_overdue": Trouble(harm=1.1, fit={"reminder": 1.0, "bundle_offer": 0.9, "flexible_schedule": 0.5}),
        "last_order_late": Trouble(harm=1.6, fit={"apology_credit": 1.0, "flexible_schedule": 0.7, "care_call": 0.6}),
        "last_order_faulty": Trouble(harm=2.3, fit={"apology_credit": 0.9, "care_call": 1.0}),
        "price_increase": Trouble(harm=1.6, fit={"loyalty_price": 1.0, "bundle_offer": 0.8, "flexible_schedule": 0.4}),
    },
    effects={
        "reminder": Effect(appeal=(0.8, 2.4, 4.0, -0.4, 1.2), annoyance=(0.07, 0.02, 0.0, 0.16, 0.16)),
        "apology_credit": Effect(appeal=(5.2, 3.8, 2.0, 1.4, 3.4), annoyance=(0.0, 0.0, 0.04, 0.04, 0.02)),
        "loyalty_price": Effect(appeal=(6.2, 3.6, 1.6, 1.6, 1.6), annoyance=(0.0, 0.0, 0.04, 0.04, 0.04)),
        "flexible_schedule": Effect(appeal=(0.8, 2.0, 2.4, 4.0, 1.6), annoyance=(0.04, 0.02, 0.06, 0.0, 0.04)),
        "bundle_offer": Effect(appeal=(6.2, 0.6, -1.2, 2.2, 0.6), annoyance=(0.02, 0.1, 0.19, 0.06, 0.12)),
        "care_call": Effect(appeal=(0.6, 7.8, -1.8, 2.4, 4.8), annoyance=(0.12, 0.02, 0.38, 0.1, 0.12)),
    },
)

TRUTH: Final[Mapping[str, SurfaceTruth]] = {
    "search": SEARCH,
    "detail_page": DETAIL_PAGE,
    "cart": CART,
    "repeat_purchase": REPEAT_PURCHASE,
}
