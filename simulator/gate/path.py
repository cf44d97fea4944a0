"""The path of a trial: where its evidence stood at the end of every day of log time."""

from datetime import datetime, timedelta

import numpy as np

from cxi_bandit.domain.evaluation import EvidencePoint
from simulator.gate.schedule import microseconds
from simulator.gate.trial import Trial
from simulator.gate.unit import Rows, taken, units


def daily(before: Trial, after: Trial, rows: Rows) -> tuple[EvidencePoint, ...]:
    """Where ln E stood after each day that the sitting bet on; the last point is `after` itself.

    Bets are placed in whole weeks: what the path does within one is for looking at, not for deciding.

    Args:
        rows: What the sitting heard.
    """
    if after.heard_until is None or after.heard_until == before.heard_until:
        return ()
    found = units(rows, before.rule)
    evidence = before.primary
    day = before.opened_at if before.heard_until is None else before.heard_until
    points = []
    while day < after.heard_until:
        first = _exposed_before(found.first_exposure, day)
        day += timedelta(days=1)
        evidence = evidence.extended(taken(found.reward, slice(first, _exposed_before(found.first_exposure, day))))
        points.append(EvidencePoint(until=day, units=evidence.end.units, log_e=evidence.log_e))
    return tuple(points)


def _exposed_before(first_exposure: np.ndarray[tuple[int], np.dtype[np.int64]], moment: datetime) -> int:
    return int(np.searchsorted(first_exposure, microseconds(moment), side="left"))
