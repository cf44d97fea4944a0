"""A batch of decisions waits for the log as one, and each of it still has its own answer or problem."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.errors import SpoolFull, Unavailable
from cxi_bandit.engine import decide
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.policy.draw import draw
from cxi_bandit.service.app import create_app
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import FileSpool, SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.local import local_client

from .test_decisions import ask


class Log:
    """A decision log that keeps count, and fails as it is told."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.batches: list[int] = []
        self.poison: float | None = None
        self.away = False

    def append(self, entries: Sequence[DecisionEntry]) -> Any:
        if self.away:
            raise Unavailable("the database")
        self.batches.append(len(entries))
        if any(entry.decision.situation.defect.severity == self.poison for entry in entries):
            raise ValueError
        return self._inner.append(entries)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture
def log(engine: Engine) -> Log:
    log = Log(engine.store.decisions)
    engine.store.decisions = log  # type: ignore[misc, assignment]
    return log


def post(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, number: int, **options: int) -> Any:
    """The answers' items, for decisions of severity 0.00, 0.01, and so on."""
    app = create_app(engine, Settings(dev=True, **options), quiet, Metrics(), shelf)
    items = [ask(defect={"type": "price_jump", "severity": n / 100, "confidence": 1}) for n in range(number)]
    with local_client(app) as client:
        answer = client.post("/v1/decisions/batch", json={"decisions": items})
    assert answer.status_code == 200
    return answer.json()["decisions"]


def test_a_batch_is_one_commit(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, log: Log) -> None:
    items = post(engine, quiet, shelf, 100)
    assert log.batches == [100]
    assert [item["durability"] for item in items] == ["committed"] * 100
    assert len({item["decision_id"] for item in items}) == 100


def test_a_batch_longer_than_a_commit_takes_several(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, log: Log
) -> None:
    items = post(engine, quiet, shelf, 100, batch_entries=30)
    assert sorted(log.batches) == [10, 30, 30, 30]
    assert all(item["durability"] == "committed" for item in items)


def test_one_that_cannot_be_kept_spoils_no_other(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, log: Log
) -> None:
    log.poison = 0.07
    items = post(engine, quiet, shelf, 20)
    assert [place for place, item in enumerate(items) if item.get("durability") != "committed"] == [7]
    assert items[7]["status"] == 500


def test_what_finds_no_room_in_the_queue_is_refused_by_itself(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, log: Log
) -> None:
    items = post(engine, quiet, shelf, 20, queue_entries=8)
    kept = [item for item in items if item.get("durability") == "committed"]
    assert 8 <= len(kept) < 20
    assert {item["status"] for item in items if item not in kept} == {503}
    assert sum(log.batches) == len(kept)


def test_without_the_log_a_batch_is_spooled(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, log: Log
) -> None:
    log.away = True
    assert Counter(item["durability"] for item in post(engine, quiet, shelf, 20)) == {"spooled": 20}


def test_with_neither_log_nor_spool_each_gets_the_default(
    engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: FileSpool, entries: Sequence[DecisionEntry]) -> None:
        raise SpoolFull

    log.away = True
    monkeypatch.setattr(FileSpool, "append", full)
    items = post(engine, quiet, shelf, 20)
    assert Counter(item.get("durability") for item in items) == {"unlogged": 20}
    assert all(item["decision_id"] is None for item in items)


@pytest.mark.parametrize("failing", [{8}, {8, 9}], ids=["once", "again"])
def test_one_that_cannot_be_chosen_for_spoils_no_other(
    engine: Engine,
    quiet: FilteringBoundLogger,
    shelf: SpoolShelf,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
    failing: set[int],
) -> None:
    def poisoned(probabilities: Sequence[float], u: float) -> int:
        drawn.append(u)
        if len(drawn) in failing:
            raise ZeroDivisionError
        return draw(probabilities, u)

    drawn: list[float] = []
    monkeypatch.setattr(decide, "draw", poisoned)
    items = post(engine, quiet, shelf, 10)
    refused = len(failing) - 1
    assert [item.get("status") for item in items] == [500] * refused + [None] * (10 - refused)
    assert log.batches == [10 - refused]
    assert len(drawn) == 18
