"""The learner's process works requests for rebuilds off beside everything else."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.bootstrap.mending import Mender
from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.domain.errors import ModelInvalid, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Branch
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.worker import Workbench

POLICIES = Path(__file__).parents[3] / "policies"
DETAIL, CART = PolicyName("detail-page"), PolicyName("cart")


class Time:
    """The wall clock and the monotonic one, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 10_000.0
        monkeypatch.setattr("cxi_bandit.bootstrap.mending.time.monotonic", lambda: self.seconds)


@pytest.fixture
def engine() -> Engine:
    names = ("cart.toml", "detail-page.toml")
    texts = [(name, (POLICIES / name).read_text()) for name in names]
    return in_memory_engine(texts)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def bench(engine: Engine, time: Time, quiet: FilteringBoundLogger) -> Workbench:
    return Workbench(engine, Settings(), quiet, Metrics())


def learned(engine: Engine, bench: Workbench, rounds: int = 3) -> None:
    """Outcomes of both policies, learned in segments, then one of each erased."""
    begin = engine.clock()
    hours = itertools.count(1)
    object.__setattr__(engine, "clock", lambda: begin + timedelta(hours=3 * next(hours)))
    for _ in range(rounds):
        for surface, defect in (("detail_page", "price_jump"), ("cart", "coupon_failure")):
            served = engine.serving.route(DecisionRequest(surface=surface, defect=Defect(defect, 0.5, 0.5)))
            defect_of = next(iter(served.manifest.defects))
            request = DecisionRequest(surface=surface, defect=Defect(defect_of, 0.5, 0.5))
            for _ in range(5):
                name = engine.mint.mint(engine.clock())
                made = decide(request, admit(request, served), served, name, engine.draw_key, engine.subject_key)
                engine.store.decisions.append([DecisionEntry(made)])
        object.__setattr__(engine, "clock", lambda: begin + timedelta(days=30 + next(hours)))
        bench._published.clear()
        while bench.turn():
            bench._published.clear()
    for policy in (DETAIL, CART):
        victim = engine.store.decisions.scan(policy, None, 1)[0].decision_id
        engine.store.outcomes.erase(policy, [victim], engine.clock())


def rebuilt(engine: Engine, policy: PolicyName) -> bool:
    head = engine.store.registry.head(policy, 1)
    return head is not None and head.lineage.branch is Branch.REBUILD


def test_requests_are_worked_off_by_the_learner(engine: Engine, bench: Workbench, time: Time) -> None:
    learned(engine, bench)
    assert len(engine.store.rebuilds.waiting()) == 2
    assert not bench.turn(), "it does not look at every turn"
    time.seconds += 2
    bench.turn()
    assert engine.store.rebuilds.waiting() == []
    assert rebuilt(engine, DETAIL)
    assert rebuilt(engine, CART)


def test_a_long_rebuild_gives_way_to_everything_else_and_its_policy_is_not_learned_on_meanwhile(
    engine: Engine, time: Time, quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(engine, Settings(), quiet, Metrics())
    learned(engine, bench, rounds=4)
    ticks = itertools.count(int(time.seconds) + 10)
    # Every look at the clock is a second later, so one model is made a turn.
    monkeypatch.setattr("cxi_bandit.bootstrap.mending.time.monotonic", lambda: float(next(ticks)))
    turns = 0
    while engine.store.rebuilds.waiting():
        bench.turn()
        turns += 1
        if engine.store.rebuilds.waiting():
            with engine.store.registry.writer(DETAIL) as detail, engine.store.registry.writer(CART) as cart:
                assert not (detail and cart), "the lock is held until the rebuild is adopted"
    assert turns > 1
    with engine.store.registry.writer(DETAIL) as detail, engine.store.registry.writer(CART) as cart:
        assert detail
        assert cart


def test_who_stands_down_lets_go_of_a_rebuild_and_another_begins_it_again(
    engine: Engine, time: Time, quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, other = (Workbench(engine, Settings(), quiet, Metrics()) for _ in range(2))
    learned(engine, bench, rounds=4)
    ticks = itertools.count(int(time.seconds) + 10)
    # Every look at the clock is a second later, so one model is made a turn.
    monkeypatch.setattr("cxi_bandit.bootstrap.mending.time.monotonic", lambda: float(next(ticks)))
    bench.turn()
    assert engine.store.rebuilds.waiting(), "it is under way"
    bench.stand_down()
    for policy in (DETAIL, CART):
        with engine.store.registry.writer(policy) as mine:
            assert mine
    while engine.store.rebuilds.waiting():
        other.turn()
    assert rebuilt(engine, DETAIL)
    assert rebuilt(engine, CART)


def test_a_policy_that_cannot_be_rebuilt_rests_and_the_other_is_rebuilt(
    engine: Engine, bench: Workbench, time: Time
) -> None:
    learned(engine, bench)
    registry: Any = engine.store.registry
    kept, asked = registry.kept, []

    def lost(policy: PolicyName) -> set[int]:
        asked.append(policy)
        if policy == CART:
            raise ModelInvalid("no model is left")
        found: set[int] = kept(policy)
        return found

    registry.kept = lost
    for _ in range(60):
        time.seconds += 1.0
        bench.turn()
    assert rebuilt(engine, DETAIL)
    assert not rebuilt(engine, CART)
    assert 3 <= asked.count(CART) <= 8, "ever longer rests"
    registry.kept = kept
    time.seconds += 300
    bench.turn()
    assert rebuilt(engine, CART)


def test_a_database_that_is_away_lets_go_of_the_lock_and_begins_again(
    engine: Engine, bench: Workbench, time: Time
) -> None:
    learned(engine, bench)
    registry: Any = engine.store.registry
    publish = registry.publish

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the database")

    registry.publish = away
    time.seconds += 2
    with pytest.raises(Unavailable):
        bench.turn()
    registry.publish = publish
    with registry.writer(CART) as mine:
        assert mine
    for _ in range(3):
        time.seconds += 2
        bench.turn()
    assert rebuilt(engine, CART)
    assert rebuilt(engine, DETAIL)


def test_another_writer_is_waited_for(engine: Engine, bench: Workbench, time: Time) -> None:
    learned(engine, bench)
    with engine.store.registry.writer(CART):
        time.seconds += 2
        bench.turn()
        assert not rebuilt(engine, CART)
    time.seconds += 2
    bench.turn()
    assert rebuilt(engine, CART)


def test_models_are_thinned_by_upkeep_and_once_many_are_new(
    engine: Engine, time: Time, quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    class Log:
        def info(self, event: str, **facts: Any) -> None:
            told.append((event, facts))

    learned(engine, Workbench(engine, Settings(), quiet, Metrics()))
    metrics = Metrics()
    mender = Mender(engine, Log(), metrics)  # type: ignore[arg-type]
    assert mender.keep_up() == 3600
    assert told == [], "so few models all stay"
    everything = "cxi_bandit.engine.thin.superfluous"
    monkeypatch.setattr(everything, lambda models, *_: [model.lineage.version for model in models])
    for _ in range(199):
        mender.published(CART)
    assert told == []
    mender.published(CART)
    time.seconds += 600
    assert mender.keep_up() == 3000
    assert [facts["policy"] for _, facts in told] == [CART]
    time.seconds += 3000
    mender.keep_up()
    assert [(event, facts["policy"]) for event, facts in told] == [("models_thinned", CART), ("models_thinned", DETAIL)]
    assert b'cxi_bandit_models_thinned_total{policy="cart"}' in metrics.exposition()
