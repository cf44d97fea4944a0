"""Calibration: what a promotion's report forecast, beside what came once it was live."""

import math
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.promotion import Forecast, Promotion
from cxi_bandit.engine.watch_live import LiveWatch, Sums

_GAUSSIAN: Final = 1.959964
_FEWEST: Final = 2


class Realised(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over shoppers, each with the first decision since going live, in the reward's own unit.

    Attributes:
        value: None without shoppers.
        interval: Gaussian, at 95 %, for one look; None below two shoppers.
    """

    shoppers: int
    value: float | None
    interval: tuple[float, float] | None


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast held against what came. Every promotion that went live has one, for as long as its watch is kept.

    Attributes:
        until: Log time up to which shoppers were heard.
        forecast: As the promotion has it.
        live: The promoted version's shoppers.
        previous: Those whom the replaced version goes on answering; without shoppers where it has no arm.
        lift: Live less previous; None while either has fewer than two shoppers.
        lift_interval: Gaussian, at 95 %, for one look.
        forecast_lift: None where the report does not have the incumbent's value.
        within: Whether the forecast interval of the value and the realised one overlap; None where either is missing.
    """

    promotion_id: int
    since: datetime
    until: datetime | None
    forecast: Forecast | None
    live: Realised
    previous: Realised
    lift: float | None
    lift_interval: tuple[float, float] | None
    forecast_lift: float | None
    within: bool | None


def calibrated(promotion: Promotion, watch: LiveWatch) -> Calibration:
    """What the watch of what a promotion made live has seen so far.

    Δ̂ = r̄_live - r̄_previous ± 1.96·√(s²_live/n_live + s²_previous/n_previous): one value a shopper, and arms drawn by
    shopper, so the values are independent. It describes; what acts is the detector, which may be looked at for ever.
    """
    other = watch.other if watch.against is Arm.PREVIOUS else Sums()
    live, previous = _realised(watch.live), _realised(other)
    lift = interval = None
    if min(watch.live.number, other.number) >= _FEWEST:
        lift = watch.live.mean - other.mean
        half = _GAUSSIAN * math.sqrt(watch.live.variance_of_mean + other.variance_of_mean)
        interval = (lift - half, lift + half)
    forecast = promotion.forecast
    promised = None if forecast is None else forecast.interval
    return Calibration(
        promotion_id=promotion.promotion_id,
        since=watch.since,
        until=watch.until,
        forecast=forecast,
        live=live,
        previous=previous,
        lift=lift,
        lift_interval=interval,
        forecast_lift=_forecast_lift(forecast),
        within=None if promised is None or live.interval is None else _overlap(promised, live.interval),
    )


def _realised(sums: Sums) -> Realised:
    if sums.number < _FEWEST:
        return Realised(shoppers=sums.number, value=sums.mean if sums.number else None, interval=None)
    half = _GAUSSIAN * math.sqrt(sums.variance_of_mean)
    return Realised(shoppers=sums.number, value=sums.mean, interval=(sums.mean - half, sums.mean + half))


def _forecast_lift(forecast: Forecast | None) -> float | None:
    if forecast is None or forecast.candidate is None or forecast.incumbent is None:
        return None
    return forecast.candidate - forecast.incumbent


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
