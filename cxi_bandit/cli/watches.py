"""`cxi-bandit watches`: the evidence for and against who answers now, and forecasts beside what came."""

from typing import Any, Final

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.engine.calibration import Calibration
from cxi_bandit.engine.watch_status import WatchStatus, status
from cxi_bandit.settings import read_settings

_LINES: Final = ("watch", "ln E", "goes off at", "shoppers", "heard until", "false alarms a year", "gone off")
_CALIBRATIONS: Final = ("promotion", "forecast", "came", "live", "previous", "lift", "95 % interval", "within")


def watches(policy: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit watches`."""
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        found = status(known_policy(engine, policy), engine.watching)
    if as_json:
        show_json(found)
    else:
        _show(found)


def _show(found: WatchStatus) -> None:
    rows = [
        (
            line.watch,
            _number(line.log_e),
            _number(line.log_threshold),
            line.units,
            line.until,
            _number(line.alarms_per_year),
            line.alarms,
        )
        for line in found.lines
    ]
    show_table(f"Watches of {found.policy}, roll-out {found.revision}", _LINES, rows)
    if found.calibrations:
        show_table("Forecasts, and what came", _CALIBRATIONS, map(_row, found.calibrations))


def _row(one: Calibration) -> tuple[object, ...]:
    forecast = None if one.forecast is None else _number(one.forecast.candidate)
    interval = None if one.lift_interval is None else f"[{one.lift_interval[0]:.4g}, {one.lift_interval[1]:.4g}]"
    within = None if one.within is None else "yes" if one.within else "no"
    came, lift = _number(one.live.value), _number(one.lift)
    return one.promotion_id, forecast, came, one.live.shoppers, one.previous.shoppers, lift, interval, within


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
