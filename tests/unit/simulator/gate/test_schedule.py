"""Whole weeks behind a watermark."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import GateRule
from simulator.gate.schedule import WEEK, cutoff, known_at_close, microseconds, watermark, whole_weeks

OPENED = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("days", "minimum", "weeks"),
    [(6.99, 7, None), (7, 7, 1), (13.9, 7, 1), (14, 7, 2), (7, 8, None), (13.9, 8, None), (14, 8, 2), (-3, 7, None)],
)
def test_bets_are_placed_to_the_last_whole_week(days: float, minimum: int, weeks: int | None) -> None:
    found = cutoff(OPENED, OPENED + days * DAY, GateRule(minimum_days=minimum))
    assert found == (None if weeks is None else OPENED + weeks * WEEK)


def test_the_watermark_waits_for_horizon_window_and_grace() -> None:
    now = OPENED + 10 * DAY
    assert watermark(now, horizon=DAY, window=2 * DAY, grace=DAY / 2) == now - 3.5 * DAY
    with pytest.raises(InvalidInput, match="/grace"):
        watermark(now, horizon=DAY, window=DAY, grace=-DAY)


def test_times_carry_their_zone() -> None:
    naive = OPENED.replace(tzinfo=None)
    with pytest.raises(InvalidInput, match="/now"):
        watermark(naive, horizon=DAY, window=DAY, grace=DAY)
    with pytest.raises(InvalidInput, match="/opened_at"):
        whole_weeks(naive, OPENED)


def test_microseconds_are_exact() -> None:
    assert microseconds(datetime(2026, 3, 2, 1, 2, 3, 456789, tzinfo=UTC)) % 1_000_000 == 456789
    assert microseconds(OPENED.astimezone(datetime(2026, 7, 1).astimezone().tzinfo)) == microseconds(OPENED)


def test_corrections_never_edit_evidence() -> None:
    assert known_at_close(np.array([0, 1, 0, 2])).tolist() == [True, False, True, False]
