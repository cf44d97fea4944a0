"""One bet a shopper, in first-exposure order, within the bounds of a row."""

import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import BetUnit, GateRule
from cxi_bandit.evidence.contrast import Differences
from simulator.gate.unit import DAY, Rows, units

FIRST = GateRule()
WINDOW = GateRule(unit=BetUnit.SHOPPER_WINDOW, window_days=1.0, decisions_per_unit=2)


def rows(subjects: list[str | None], days: list[float]) -> Rows:
    number = len(subjects)
    return Rows(
        decided_at=np.array([int(day * DAY) for day in days]),
        subject=subjects,
        differences=Differences(difference=np.arange(1.0, number + 1), shortfall=np.full(number, 0.1)),
        reward=np.linspace(0.0, 1.0, number),
        harms={"returns": np.full(number, 0.25)},
    )


def test_the_first_decision_only() -> None:
    found = units(rows(["b", "a", "b", "a", "c"], [0, 1, 2, 3, 4]), FIRST)
    assert found.first_exposure.tolist() == [0, DAY, 4 * DAY]
    assert found.reward.gain.tolist() == [0.0, 2 * 0.25, 5 * 1.0]
    assert found.reward.tilt.tolist() == [1.1, 2.1, 5.1]
    assert found.harms["returns"].reward.tolist() == [0.75] * 3


def test_a_window_takes_the_first_decisions_and_divides_by_their_cap() -> None:
    found = units(rows(["a", "a", "b", "a", "b"], [0, 0.5, 0.6, 0.7, 1.7]), WINDOW)
    assert found.reward.gain.tolist() == [(1 * 0.0 + 2 * 0.25) / 2, 3 * 0.5 / 2]
    assert found.reward.tilt == pytest.approx([(1.1 + 2.1) / 2, 3.1 / 2])
    assert found.reward.reward.tolist() == [0.125, 0.5]


def test_rows_without_a_subject_are_their_own_units_and_are_counted() -> None:
    found = units(rows([None, "a", None, "a"], [0, 1, 2, 3]), FIRST)
    assert found.anonymous.tolist() == [True, False, True]
    assert len(found.reward.gain) == 3


def test_a_shopper_with_many_decisions_weighs_no_more_than_one_row() -> None:
    log = rows(["a"] * 50, [0.01 * day for day in range(50)])
    many = GateRule(unit=BetUnit.SHOPPER_WINDOW, window_days=9.0, decisions_per_unit=50)
    found = units(log, many).reward
    assert abs(found.tilt[0]) <= np.abs(log.differences.difference + log.differences.shortfall).max()


def test_arrival_order_is_refused() -> None:
    with pytest.raises(InvalidInput, match="/decided_at"):
        units(rows(["a", "b"], [1, 0]), FIRST)


def test_values_must_be_scaled() -> None:
    log = rows(["a", "b"], [0, 1])
    wild = Rows(
        decided_at=log.decided_at, subject=log.subject, differences=log.differences, reward=np.array([0.0, 2.0])
    )
    with pytest.raises(InvalidInput, match="/reward"):
        units(wild, FIRST)


def test_an_empty_log_has_no_units() -> None:
    assert len(units(rows([], []), FIRST).reward.gain) == 0
