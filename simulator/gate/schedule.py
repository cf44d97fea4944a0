"""The schedule: which bets may be placed by now. Decision order, closed windows, whole weeks.

Arrival order shows a faster action's successes before its failures (99 % false go when one action was merely faster),
and a look in mid-week takes a weekly swing for an improvement (87 %).
"""

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import GateRule
from cxi_bandit.evidence.contrast import Integers

WEEK = timedelta(days=7)


def watermark(now: datetime, *, horizon: timedelta, window: timedelta, grace: timedelta) -> datetime:
    """First exposures before now - horizon - window - grace are closed: all their decisions are in and have matured.

    Args:
        now: Aware.
        horizon: Attribution window of every decision, the same for all actions.
        window: How long a shopper's bet goes on taking in decisions; 0 for first-decision bets.
        grace: How long the outcome log may lag.

    Raises:
        InvalidInput: `now` is naive or a duration is negative.
    """
    _aware("now", now)
    for name, duration in (("horizon", horizon), ("window", window), ("grace", grace)):
        if duration < timedelta():
            raise InvalidInput(f"/{name}", f"must not be negative; got {duration}")
    return now - horizon - window - grace


def whole_weeks(opened_at: datetime, until: datetime) -> int:
    """How many whole weeks of log time lie between, 0 at least. Weeks are 7 x 24 h from the opening."""
    _aware("opened_at", opened_at)
    _aware("until", until)
    return max((until - opened_at) // WEEK, 0)


def cutoff(opened_at: datetime, until: datetime, rule: GateRule) -> datetime | None:
    """First exposures before this moment may be bet on; None when it is too early to bet at all.

    Over whole weeks a swing with mean zero has Σ E[X_t] ≤ 0, hence Π(1 + λ E[X_t]) ≤ exp(λ Σ E[X_t]) ≤ 1: the wealth is
    fair at week ends even though it is not within the week.
    """
    weeks = whole_weeks(opened_at, until)
    return opened_at + weeks * WEEK if weeks * WEEK >= timedelta(days=rule.minimum_days) else None


def known_at_close(revision: Integers) -> npt.NDArray[np.bool_]:
    """Which rows of an outcome log carry the value known at close: revision 0. Later corrections never edit E."""
    return np.equal(revision, 0)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970 UTC, exactly (a float of seconds would not be)."""
    _aware("moment", moment)
    return (moment - datetime.fromtimestamp(0, moment.tzinfo)) // timedelta(microseconds=1)


def _aware(name: str, moment: datetime) -> None:
    if moment.utcoffset() is None:
        raise InvalidInput(f"/{name}", "must carry its time zone")
