"""What is told of learning's lag, of connections, and of requests nobody foresaw."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.bootstrap.learning_lag import LearningLag
from cxi_bandit.bootstrap.pool_watch import PoolWatch
from cxi_bandit.engine.join import join
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres.connection import PoolUse
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.worker import Workbench
from tests.harness.exposition import Series, series

from .test_decisions import ask
from .test_worker import Clock, logged

MANIFEST = Path(__file__).parents[3] / "policies" / "detail-page.toml"
POLICY = {"policy": "detail-page"}


def told(source: Any, name: str, **labels: str) -> float | None:
    text = source.exposition().decode() if isinstance(source, Metrics) else source.get("/metrics").text
    found: Series = series(text)
    return found.get((name, frozenset(labels.items())))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def at_work(clock: Clock) -> Engine:
    return in_memory_engine([(MANIFEST.name, MANIFEST.read_text())], clock)


def look(engine: Engine, metrics: Metrics) -> LearningLag:
    lag = LearningLag(engine, metrics)
    lag.turn(engine.store.registry.versions())
    return lag


def test_the_lag_is_the_age_of_the_oldest_outcome_that_no_model_has_learned(
    at_work: Engine, clock: Clock, quiet: FilteringBoundLogger
) -> None:
    metrics = Metrics()
    bench = Workbench(at_work, Settings(), quiet, metrics)
    bench.turn()
    assert told(metrics, "cxi_bandit_learner_lag_outcomes", **POLICY) == 0
    logged(at_work, 3)
    clock.now += timedelta(hours=3)
    join(at_work.store.outcomes, at_work.manifests, clock.now, timedelta())
    clock.now += timedelta(seconds=90)
    logged(at_work, 2)
    look(at_work, metrics)
    assert told(metrics, "cxi_bandit_learner_lag_outcomes", **POLICY) == 3
    assert told(metrics, "cxi_bandit_learner_lag_seconds", **POLICY) == 90
    bench.turn()
    lag = look(at_work, metrics)
    assert told(metrics, "cxi_bandit_learner_lag_outcomes", **POLICY) == 0
    assert told(metrics, "cxi_bandit_learner_lag_seconds", **POLICY) == 0
    assert told(metrics, "cxi_bandit_outcome_position", **POLICY) == 3
    assert told(metrics, "cxi_bandit_learned_position", **POLICY) == 3
    assert told(metrics, "cxi_bandit_model_published_timestamp_seconds", **POLICY) == clock.now.timestamp()
    assert told(metrics, "cxi_bandit_models_published_total", **POLICY) == 1
    assert told(metrics, "cxi_bandit_learned_decision_age_seconds_count", **POLICY) == 3
    learned_after = told(metrics, "cxi_bandit_learned_decision_age_seconds_sum", **POLICY)
    assert learned_after == pytest.approx(3 * (3 * 3600 + 90), abs=1)
    metrics.lag_seconds.labels(POLICY["policy"]).set(7)
    lag._due = 0.0
    lag.turn([])  # no version of the policy is live any more
    assert told(metrics, "cxi_bandit_learner_lag_seconds", **POLICY) == 0
    lag = look(at_work, metrics)
    metrics.lag_seconds.labels(POLICY["policy"]).set(7)
    lag.stand_down()
    assert told(metrics, "cxi_bandit_learner_lag_seconds", **POLICY) == 0


def test_a_pass_says_how_long_the_oldest_of_what_it_took_had_waited(
    at_work: Engine, clock: Clock, quiet: FilteringBoundLogger
) -> None:
    metrics = Metrics()
    logged(at_work, 1)
    clock.now += timedelta(seconds=60)
    logged(at_work, 1)
    clock.now += next(iter(at_work.serving.policies)).horizon + timedelta(seconds=1)
    bench = Workbench(at_work, Settings(), quiet, metrics)
    bench.turn()
    assert told(metrics, "cxi_bandit_join_lag_seconds", kind="windows") == pytest.approx(61, abs=0.1)
    assert told(metrics, "cxi_bandit_joined_total", kind="closed") == 2
    bench.turn()
    assert told(metrics, "cxi_bandit_join_lag_seconds", kind="windows") == 0
    assert told(metrics, "cxi_bandit_join_lag_seconds", kind="rewards") == 0


def test_what_the_pool_counted_is_told_once() -> None:
    class Pool:
        found = PoolUse()

        def use(self) -> PoolUse:
            return self.found

    pool, metrics = Pool(), Metrics()
    watch = PoolWatch(pool, "worker", metrics)  # type: ignore[arg-type] # all that is asked of a database here
    pool.found = PoolUse(connections=8, idle=1, waiting=2, requests=10, waited=4, waited_ms=1500, failed=1, lost=1)
    watch.look()
    watch.look()

    def of_worker(name: str, **labels: str) -> float | None:
        return told(metrics, f"cxi_bandit_database_{name}", process="worker", **labels)

    assert of_worker("pool_connections", state="used") == 7
    assert of_worker("pool_connections", state="idle") == 1
    assert of_worker("pool_waiting_requests") == 2
    assert of_worker("pool_requests_total", result="at_once") == 6
    assert of_worker("pool_requests_total", result="waited") == 3
    assert of_worker("pool_requests_total", result="failed") == 1
    assert of_worker("pool_wait_seconds_total") == 1.5
    assert of_worker("connections_lost_total") == 1


def test_a_method_that_a_caller_makes_up_is_no_label(client: TestClient[Litestar]) -> None:
    for word in ("BREW", "BREWMORE"):
        assert client.request(word, "/v1/decisions").status_code >= 400
    client.request("POST", "/v1/decisions", json=ask())
    methods = {
        dict(labels)["method"]
        for name, labels in series(client.get("/metrics").text)
        if name == "cxi_bandit_request_seconds_count"
    }
    assert methods == {"POST", "(other)"}


def test_what_should_never_happen_is_told_as_none_from_the_start(client: TestClient[Litestar]) -> None:
    assert told(client, "cxi_bandit_models_refused_total", **POLICY) == 0
    assert told(client, "cxi_bandit_unlogged_total", **POLICY) == 0
    assert told(client, "cxi_bandit_spool_moves_total", kind="damaged") == 0


def test_a_process_says_what_it_runs_and_since_when() -> None:
    metrics = Metrics()
    before = datetime.now(UTC).timestamp()
    metrics.started("learner")
    since = told(metrics, "cxi_bandit_process_start_time_seconds", process="learner")
    assert since is not None
    assert before <= since <= datetime.now(UTC).timestamp()
    builds = [labels for name, labels in series(metrics.exposition().decode()) if name == "cxi_bandit_build_info"]
    assert [{name for name, _ in labels} for labels in builds] == [
        {"version", "python_version", "vowpalwabbit_version"}
    ]
