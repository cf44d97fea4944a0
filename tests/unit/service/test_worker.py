import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.domain.errors import DistributionInvalid, LearningConflict, ModelInvalid, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.vowpal import VowpalRoom
from cxi_bandit.worker import Workbench, work

MANIFEST = Path(__file__).parents[3] / "policies" / "detail-page.toml"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def logged(engine: Engine, number: int) -> None:
    request = DecisionRequest(surface="detail_page", defect=Defect("price_jump", 0.5, 0.5))
    served = engine.serving.route(request)
    admitted = admit(request, served)
    for _ in range(number):
        identifier = engine.mint.mint(engine.clock())
        made = decide(request, admitted, served, identifier, engine.draw_key, engine.subject_key)
        engine.store.decisions.append([DecisionEntry(made)])


def bench(engine: Engine, quiet: FilteringBoundLogger) -> Workbench:
    return Workbench(engine, Settings(), quiet, Metrics())


def test_what_has_matured_is_joined_learned_and_published(quiet: FilteringBoundLogger) -> None:
    clock = Clock()
    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())], clock)
    bench(engine, quiet).turn()
    policy = next(iter(engine.serving.policies)).version
    start = engine.store.registry.head(policy.policy, 1)
    assert start is not None
    assert start.lineage.learned_total == 0
    logged(engine, 7)
    clock.now += timedelta(hours=3)
    tested = bench(engine, quiet)
    assert tested.turn()
    head = engine.store.registry.head(policy.policy, 1)
    assert head is not None
    assert head.lineage.learned_total == 7
    assert not tested.turn()
    assert len(engine.store.registry.models(policy.policy)) == 2


def test_publishing_is_no_more_frequent_than_the_manifest_says(quiet: FilteringBoundLogger) -> None:
    clock = Clock()
    text = MANIFEST.read_text().replace("[learning]", "[learning]\npublish_seconds = 3600.0")
    engine = in_memory_engine([(MANIFEST.name, text)], clock)
    tested = bench(engine, quiet)
    for _ in range(3):
        logged(engine, 2)
        clock.now += timedelta(hours=3)
        tested.turn()
    learned = [model.lineage.learned for model in engine.store.registry.models(_policy(engine))]
    assert learned == [0, 2]


def test_a_rival_costs_nothing_and_another_writer_is_left_alone(quiet: FilteringBoundLogger) -> None:
    clock = Clock()
    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())], clock)
    tested = bench(engine, quiet)
    tested.turn()
    logged(engine, 2)
    clock.now += timedelta(hours=3)
    registry = engine.store.registry
    publish, writer = registry.publish, registry.writer

    @contextmanager
    def occupied(_: object) -> Iterator[bool]:
        yield False

    def beaten(*_: object, **__: object) -> None:
        raise LearningConflict("a rival published")

    registry.writer = occupied  # type: ignore[method-assign, assignment]
    tested.turn()
    registry.writer = writer  # type: ignore[method-assign]
    registry.publish = beaten  # type: ignore[method-assign]
    assert tested.turn()
    assert len(registry.models(_policy(engine))) == 1
    registry.publish = publish  # type: ignore[method-assign]
    assert tested.turn()
    assert registry.models(_policy(engine))[-1].lineage.learned == 2


def test_a_database_that_is_away_is_waited_for(quiet: FilteringBoundLogger) -> None:
    stopping = threading.Event()
    turns: list[bool] = []

    class Flaky(Workbench):
        def turn(self) -> bool:
            turns.append(len(turns) < 2)
            if turns[-1]:
                raise Unavailable("the database")
            stopping.set()
            return False

    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())])
    upkeeps: list[int] = []

    def upkeep() -> float:
        upkeeps.append(1)
        return 3600.0

    work(Flaky(engine, Settings(), quiet, Metrics()), stopping, upkeep, quiet, Metrics())
    assert turns == [True, True, False]
    assert upkeeps == [1]


class Poisoned(VowpalRoom):
    """Cannot learn one policy."""

    def __init__(self, policy: str, error: Exception) -> None:
        self.policy = policy
        self.error: Exception | None = error
        self.asked = 0

    def start(self, manifest: Manifest) -> bytes:
        if manifest.name == self.policy:
            self.asked += 1
            if self.error is not None:
                raise self.error
        return super().start(manifest)


@pytest.mark.parametrize("error", [RuntimeError("VW"), DistributionInvalid("NaN"), ModelInvalid("other bytes")])
def test_a_policy_that_cannot_learn_keeps_no_other_from_learning(
    quiet: FilteringBoundLogger, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may take longer over a turn than the policy's rest is.
    monkeypatch.setattr("cxi_bandit.worker.time.monotonic", lambda: 1000.0)
    clock, room = Clock(), Poisoned("cart", error)
    texts = [(path.name, path.read_text()) for path in (MANIFEST.with_name("cart.toml"), MANIFEST)]
    engine = in_memory_engine(texts, clock, room)
    logged(engine, 3)
    clock.now += timedelta(hours=3)
    tested = bench(engine, quiet)
    assert tested.turn()
    head = engine.store.registry.head(PolicyName("detail-page"), 1)
    assert head is not None
    assert head.lineage.learned_total == 3
    assert engine.store.registry.head(PolicyName("cart"), 1) is None
    assert not tested.turn()
    assert room.asked == 1, "it is left alone for a while"


def test_a_policy_that_could_not_learn_is_tried_again(
    quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Poisoned("detail-page", RuntimeError("VW"))
    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())], Clock(), room)
    tested = bench(engine, quiet)
    now = [1000.0]
    monkeypatch.setattr("cxi_bandit.worker.time.monotonic", lambda: now[0])
    pauses = []
    for _ in range(12):
        tested.turn()
        asked, start = room.asked, now[0]
        while room.asked == asked:
            now[0] += 0.05
            tested.turn()
        pauses.append(now[0] - start)
    assert pauses == sorted(pauses)
    assert 30 < pauses[-1] < 120
    room.error = None
    now[0] += 120
    tested.turn()
    assert engine.store.registry.head(_policy(engine), 1) is not None


def test_a_policy_whose_question_is_too_slow_keeps_no_other_from_learning(quiet: FilteringBoundLogger) -> None:
    clock, room = Clock(), Poisoned("cart", Unavailable("the database"))
    texts = [(path.name, path.read_text()) for path in (MANIFEST.with_name("cart.toml"), MANIFEST)]
    engine = in_memory_engine(texts, clock, room)
    logged(engine, 3)
    clock.now += timedelta(hours=3)
    with pytest.raises(Unavailable):
        bench(engine, quiet).turn()
    head = engine.store.registry.head(PolicyName("detail-page"), 1)
    assert head is not None
    assert head.lineage.learned_total == 3


def test_no_failure_ends_the_learner(quiet: FilteringBoundLogger) -> None:
    stopping = threading.Event()
    turns: list[int] = []

    class Failing(Workbench):
        def turn(self) -> bool:
            turns.append(1)
            if len(turns) < 3:
                raise RuntimeError
            stopping.set()
            return False

    def upkeep() -> float:
        raise Unavailable("the partitions")

    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())])
    work(Failing(engine, Settings(), quiet, Metrics()), stopping, upkeep, quiet, Metrics())
    assert len(turns) == 3


def test_a_learner_works_while_it_is_the_elected_one(quiet: FilteringBoundLogger) -> None:
    stopping = threading.Event()
    said = [False, True, True, False, False, True]
    happened: list[str] = []

    class Told(Workbench):
        def turn(self) -> bool:
            happened.append("turn")
            return True

        def stand_down(self) -> None:
            happened.append("stand down")

    def elected() -> bool:
        if len(said) == 1:
            stopping.set()
        return said.pop(0)

    def upkeep() -> float:
        happened.append("upkeep")
        return 3600.0

    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())])
    work(Told(engine, Settings(), quiet, Metrics()), stopping, upkeep, quiet, Metrics(), elected)
    assert happened == ["upkeep", "turn", "turn", "stand down", "turn"]


def _policy(engine: Engine) -> PolicyName:
    return next(iter(engine.serving.policies)).version.policy
