"""The path of a trial ends where the trial does, and may be drawn in any number of sittings."""

from datetime import UTC, datetime, timedelta

import numpy as np

from cxi_bandit.domain.alpha_ledger import AlphaLedger
from cxi_bandit.domain.gate import GateRule
from cxi_bandit.evidence.contrast import Differences, bounds_where_incumbent_logs
from simulator.gate.path import daily
from simulator.gate.schedule import microseconds
from simulator.gate.trial import Trial, opened
from simulator.gate.unit import DAY, Rows

START = datetime(2026, 3, 2, tzinfo=UTC)
RULE = GateRule(weight_cap=6.0)


def trial() -> Trial:
    _, spending = AlphaLedger(policy="cart", alpha=RULE.alpha).spend("p", incumbent="3")
    bounds = bounds_where_incumbent_logs(RULE.weight_cap, shortfall=0.0)
    return opened(RULE, spending, bounds=bounds, opened_at=START, horizon_seconds=3600)


def log(days: int, a_day: int = 200) -> Rows:
    number = days * a_day
    rng = np.random.default_rng(5)
    drawn = rng.random(number) < 0.1
    return Rows(
        decided_at=microseconds(START) + np.arange(number) * DAY // a_day,
        subject=[f"s{row % 1500}" for row in range(number)],
        differences=Differences(difference=np.where(drawn, 4.5, -0.5), shortfall=np.zeros(number)),
        reward=(rng.random(number) < 0.3 + 0.3 * drawn).astype(float),
    )


def test_the_path_has_a_point_a_day_and_ends_with_the_trial() -> None:
    rows = log(16)
    after = trial().hear(rows, START + timedelta(days=16))
    path = daily(trial(), after, rows)
    assert [point.until for point in path] == [START + timedelta(days=day) for day in range(1, 15)]
    assert (path[-1].units, path[-1].log_e) == (after.primary.end.units, after.primary.log_e)
    assert [point.units for point in path] == sorted(point.units for point in path)


def test_two_sittings_draw_the_same_path_as_one() -> None:
    rows = log(16)
    first = trial().hear(rows, START + timedelta(days=9))
    second = first.hear(rows, START + timedelta(days=16))
    whole = daily(trial(), second, rows)
    assert daily(trial(), first, rows) + daily(first, second, rows) == whole


def test_nothing_heard_draws_nothing() -> None:
    rows = log(6)
    assert daily(trial(), trial().hear(rows, START + timedelta(days=6)), rows) == ()
    later = trial().hear(log(8), START + timedelta(days=9))
    assert daily(later, later.hear(log(9), START + timedelta(days=10)), log(9)) == ()
