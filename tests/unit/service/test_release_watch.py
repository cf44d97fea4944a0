"""The watch where the learner is: what it tells, and that one policy's trouble stays its own."""

from datetime import timedelta
from pathlib import Path

import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import in_memory_engine, release_watch
from cxi_bandit.bootstrap.release_watch import ReleaseWatch
from cxi_bandit.domain.errors import RolloutConflict, ShiftExceeded, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.watch import Act, Turn, Watcher
from cxi_bandit.engine.watch_status import Line
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.worker import Workbench
from tests.unit.service.test_worker import MANIFEST, Clock, logged

DETAIL_PAGE = PolicyName("detail-page")
POLICIES = Path(__file__).parents[3] / "policies"
LINE = Line(watch="live", log_e=2.5, log_threshold=11.5, units=12, until=None)
ACT = Act(policy=DETAIL_PAGE, action="roll_back", code="live_worse", reason="it does harm")


class Time:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(release_watch.time, "monotonic", clock)
    return clock


def watching(quiet: FilteringBoundLogger, *files: str) -> tuple[ReleaseWatch, Metrics]:
    texts = [(file, (POLICIES / file).read_text("utf-8")) for file in files]
    metrics = Metrics()
    return ReleaseWatch(in_memory_engine(texts, Clock()), quiet, metrics), metrics


def test_what_was_found_and_done_is_told(
    quiet: FilteringBoundLogger, passing: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, metrics = watching(quiet, "detail-page.toml")
    turns = iter([Turn((LINE,), (ACT,), 7), Turn((LINE,), more=True), Turn()])
    monkeypatch.setattr(Watcher, "turn", lambda *_: next(turns))
    assert watch.turn()
    told = metrics.exposition().decode()
    assert 'cxi_bandit_watch_evidence{policy="detail-page",watch="live"} 2.5' in told
    assert 'cxi_bandit_canary_shoppers{policy="detail-page"} 7.0' in told
    assert 'cxi_bandit_rollbacks_total{policy="detail-page",reason="live_worse"} 1.0' in told
    assert not watch.turn(), "it is not due"
    passing.seconds += 1.0
    assert watch.turn(), "more is to be read"
    assert not watch.turn(), "and is at once"


def test_one_policy_that_cannot_be_watched_rests_while_the_others_are(
    quiet: FilteringBoundLogger, passing: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, metrics = watching(quiet, "detail-page.toml", "cart.toml")
    asked: list[str] = []

    def turn(_: Watcher, policy: PolicyName, at: object) -> Turn:
        asked.append(policy)
        if policy == "cart":
            raise ValueError("broken")
        return Turn()

    monkeypatch.setattr(Watcher, "turn", turn)
    for _ in range(4):
        watch.turn()
        passing.seconds += 1.0
    assert asked.count("detail-page") == 4
    assert asked.count("cart") == 2, "it rests 2 s, then 4"
    assert 'cxi_bandit_learner_errors_total{error="ValueError"} 2.0' in metrics.exposition().decode()


def test_a_rival_is_no_error_and_an_absent_database_is_the_callers(
    quiet: FilteringBoundLogger, passing: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, metrics = watching(quiet, "detail-page.toml")
    raised = iter([RolloutConflict("watched"), Unavailable("the database")])

    def turn(*_: object) -> Turn:
        raise next(raised)

    monkeypatch.setattr(Watcher, "turn", turn)
    assert watch.turn(), "it looks again at once"
    with pytest.raises(Unavailable):
        watch.turn()
    assert "cxi_bandit_learner_errors_total{" not in metrics.exposition().decode()


def test_the_learner_watches_a_real_roll_out(quiet: FilteringBoundLogger) -> None:
    clock = Clock()
    guard = '\n[[rollout.guardrails]]\nmetric = "cost"\nbound = 0.01\n'
    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text("utf-8") + guard)], clock)
    metrics = Metrics()
    bench = Workbench(engine, Settings(), quiet, metrics)
    logged(engine, 30)
    clock.now += timedelta(hours=3)
    bench.turn()
    bench.turn()
    assert engine.store.releases.watch(DETAIL_PAGE, "guard/live/1") is not None
    assert 'watch="guard_live_cost"' in metrics.exposition().decode()


def test_the_trail_says_once_that_nothing_may_follow_a_model(
    quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text("utf-8"))], clock)

    def step(*_: object) -> None:
        raise ShiftExceeded("detail-page@7", 12)

    monkeypatch.setattr("cxi_bandit.engine.learn.Learner.step", step)
    logged(engine, 1)
    clock.now += timedelta(hours=3)
    for _ in range(2):
        # A process that was started again says it no second time either.
        for _ in range(2):
            bench = Workbench(engine, Settings(), quiet, Metrics())
            bench.turn()
    stays = [line for line in engine.store.registry.trail(DETAIL_PAGE) if line.action == "learning stays"]
    assert [line.detail["parent"] for line in stays] == ["detail-page@7"]
