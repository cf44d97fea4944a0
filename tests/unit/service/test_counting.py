"""Counting beside the learner's work: it gives way, catches up where nothing else is to be done, holds nobody up."""

from datetime import timedelta

import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.bootstrap import counting as module
from cxi_bandit.bootstrap.counting import Counting
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.engine.count import MINUTES_KEPT, PIECE
from cxi_bandit.telemetry.metrics import Metrics


class Pieces:
    """Counts as told, each piece taking so many seconds of a clock that stands still otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.seconds = 0.5
        self.left = 0
        self.most = 10
        self.asked = 0
        self.error: Exception | None = None
        monkeypatch.setattr(module, "count", self._count)
        monkeypatch.setattr("cxi_bandit.bootstrap.counting.time.monotonic", lambda: self.now)

    def _count(self, *_: object) -> int:
        self.asked += 1
        self.now += self.seconds
        if self.error is not None:
            raise self.error
        counted, self.left = min(self.left, self.most), max(self.left - self.most, 0)
        return counted


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> Pieces:
    return Pieces(monkeypatch)


@pytest.fixture
def counting(engine: Engine, quiet: FilteringBoundLogger, pieces: Pieces) -> Counting:
    assert pieces.asked == 0
    return Counting(engine, quiet, Metrics())


def test_where_others_have_work_it_takes_a_fifteenth_of_the_time(counting: Counting, pieces: Pieces) -> None:
    pieces.left = 1_000_000
    began = pieces.now
    while pieces.asked < 20:
        assert counting.turn(others_busy=True) is False
        pieces.now += 0.05
    share = 20 * pieces.seconds / (pieces.now - began)
    assert 1 / 16 < share < 1 / 14


@pytest.mark.parametrize(("most", "looks"), [(1, 2), (PIECE, 14)])
def test_beside_others_work_few_decisions_wait_for_a_second(
    counting: Counting, pieces: Pieces, most: int, looks: int
) -> None:
    pieces.seconds, pieces.most, pieces.left = 0.01, most, 1_000_000
    began = pieces.now
    while pieces.now < began + 2.0:
        counting.turn(others_busy=True)
        pieces.now += 0.01
    assert pieces.asked == looks


def test_where_nothing_else_is_to_be_done_it_goes_on_at_once_until_all_is_counted(
    counting: Counting, pieces: Pieces
) -> None:
    pieces.left = 30
    assert [counting.turn(others_busy=False) for _ in range(4)] == [True, True, True, False]
    assert counting.turn(others_busy=False) is False
    assert pieces.asked == 4, "it looks again in a second"
    pieces.now += 1.0
    counting.turn(others_busy=False)
    assert pieces.asked == 5


def test_what_ails_counting_keeps_nobody_from_learning(counting: Counting, pieces: Pieces) -> None:
    pieces.error = RuntimeError("a row that no one foresaw")
    assert counting.turn(others_busy=True) is False
    assert counting.turn(others_busy=True) is False
    assert pieces.asked == 1, "it is let be for a while"
    pieces.now += 61.0
    pieces.error = Unavailable("the database")
    with pytest.raises(Unavailable):
        counting.turn(others_busy=True)


def test_minutes_are_forgotten_after_two_days(
    counting: Counting, pieces: Pieces, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = []
    monkeypatch.setattr(engine.store.tallies, "forget_minutes", forgotten.append)
    for _ in range(3):
        counting.turn(others_busy=False)
        pieces.now += 1800.0
    assert len(forgotten) == 2, "every hour"
    assert timedelta(0) <= engine.clock() - MINUTES_KEPT - forgotten[0] < timedelta(minutes=2)
