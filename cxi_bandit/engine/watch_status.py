"""Where the watches of a policy stand, from what they kept; and what became of forecasts."""

import math
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.calibration import Calibration, calibrated
from cxi_bandit.engine.ports import Releases
from cxi_bandit.engine.watch_canary import CanaryWatch
from cxi_bandit.engine.watch_guard import GuardWatch
from cxi_bandit.engine.watch_live import LiveWatch
from cxi_bandit.engine.watch_ruling import MISMATCH_ALPHA
from cxi_bandit.engine.watch_view import (
    WatchPorts,
    canary_alpha,
    canary_name,
    guard_name,
    known,
    live_name,
    same_live,
    viewed,
)
from cxi_bandit.evidence.detector import Detector, false_alarms_per_year

_YEAR_SECONDS: Final = 365.25 * 86_400.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where one watch stands.

    Attributes:
        watch: `canary_better`, `canary_worse`, `sample_ratio`, `live` (against the previous policy), `hold` (against
            leaving shoppers alone), `guard_live_<harm>` or `guard_canary_<harm>`.
        log_e: ln of its evidence; None before a detector's first shopper.
        log_threshold: ln of what sets it off.
        units: Shoppers heard; the detectors count one who comes back once a day.
        alarms_per_year: The most false alarms a year to expect at the present traffic; None where the watch errs with a
            probability instead, exp(-log_threshold) over the whole canary, or where no time has passed.
        alarms: How often it has gone off with nothing to go back to.
    """

    watch: str
    log_e: float | None
    log_threshold: float
    units: int
    until: datetime | None
    alarms_per_year: float | None = None
    alarms: int = 0


class WatchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a policy's roll-out.

    Attributes:
        canary_shoppers: The canary's shoppers heard so far; None without a canary.
        calibrations: Of every promotion that went live, oldest first.
    """

    policy: PolicyName
    revision: int
    lines: tuple[Line, ...]
    canary_shoppers: int | None
    calibrations: tuple[Calibration, ...]


def status(policy: PolicyName, ports: WatchPorts) -> WatchStatus:
    """What the watches of a policy know now, from what they kept; nothing is read of the logs.

    Raises:
        NotFound: There is no such policy.
    """
    view = viewed(policy, ports.releases, ports.registry, ports.manifests)
    canary = view.rollout.canary
    lines: list[Line] = []
    for guarded in (None, canary) if canary is not None else (None,):
        guard = known(policy, guard_name(view.origin, guarded), GuardWatch, ports.releases)
        lines += [] if guard is None else guard_lines(guard)
    live = known(policy, live_name(view.origin), LiveWatch, ports.releases)
    lines += [] if live is None else [live_line(live)]
    shoppers = None
    if canary is not None:
        watch = known(policy, canary_name(canary.promotion_id), CanaryWatch, ports.releases)
        if watch is not None:
            promotion = ports.releases.promotion(canary.promotion_id)
            lines += canary_lines(watch, -math.log(canary_alpha(promotion, ports, view.live)))
            shoppers = watch.shoppers[0]
    return WatchStatus(
        policy=policy,
        revision=view.rollout.revision,
        lines=tuple(lines),
        canary_shoppers=shoppers,
        calibrations=calibration(policy, ports.releases),
    )


def calibration(policy: PolicyName, releases: Releases) -> tuple[Calibration, ...]:
    """Forecast against realised lift of every promotion of the policy that went live and was watched, oldest first."""
    promotions = {promotion.promotion_id: promotion for promotion in releases.promotions(policy)}
    history = releases.history(policy)
    found = []
    for index, rollout in enumerate(history):
        if index and same_live(history[index - 1], rollout):
            continue
        watch = known(policy, live_name(rollout), LiveWatch, releases)
        if watch is not None and watch.promotion_id is not None:
            found.append(calibrated(promotions[watch.promotion_id], watch))
    return tuple(found)


def canary_lines(watch: CanaryWatch, threshold: float) -> tuple[Line, ...]:
    """A canary's three e-processes.

    Args:
        threshold: ln(1/alpha) of its promotion.
    """
    units = sum(watch.shoppers)
    return tuple(
        Line(watch=name, log_e=log_e, log_threshold=against, units=units, until=watch.until)
        for name, log_e, against in (
            ("canary_better", watch.log_better, threshold),
            ("canary_worse", watch.log_worse, threshold),
            ("sample_ratio", watch.log_mismatch, -math.log(MISMATCH_ALPHA)),
        )
    )


def live_line(watch: LiveWatch) -> Line:
    """What is live against what it is compared with."""
    return Line(
        watch="live" if watch.against is Arm.PREVIOUS else "hold",
        log_e=_log(watch.level),
        log_threshold=math.log(watch.arrivals.alarm_at),
        units=watch.units,
        until=watch.until,
        alarms_per_year=_alarms_per_year(watch.units, watch.since, watch.until, watch.arrivals.alarm_at),
        alarms=watch.alarms,
    )


def guard_lines(watch: GuardWatch) -> tuple[Line, ...]:
    """One a harm, in the order of the detectors."""
    return tuple(_guard_line(watch, harm, detector) for harm, detector in watch.detectors.items())


def _guard_line(watch: GuardWatch, harm: str, detector: Detector) -> Line:
    units = detector.position.units
    return Line(
        watch=f"guard_{watch.arm.value}_{harm}",
        log_e=_log(detector.level),
        log_threshold=math.log(detector.alarm_at),
        units=units,
        until=watch.until,
        alarms_per_year=_alarms_per_year(units, watch.since, watch.until, detector.alarm_at),
        alarms=watch.alarms,
    )


def _log(level: float) -> float | None:
    return math.log(level) if level > 0.0 else None


def _alarms_per_year(units: int, since: datetime, until: datetime | None, alarm_at: float) -> float | None:
    seconds = 0.0 if until is None else (until - since).total_seconds()
    return false_alarms_per_year(units * _YEAR_SECONDS / seconds, alarm_at) if seconds > 0.0 else None
