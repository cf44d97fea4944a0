"""From the end of a decision's window to every worker serving a model that learned it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Final

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.store.postgres import PostgresStore
from simulator.bench import bodies
from simulator.bench.figures import Row, Sample, at_most
from simulator.bench.instrument import Instrument
from simulator.bench.metrics import metric
from simulator.bench.orders import Order
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.servers import Service, service
from simulator.bench.warm import warm

_PUBLISHED_SECONDS: Final = 7.3
"""Agarwal et al., Making Contextual Decisions with Low Technical Debt, arXiv:1606.03966."""

_WORKERS: Final = 2
_ARRIVALS_PER_SECOND: Final = 100.0
_LOOK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 5.0

_ROW: Final = Row(
    name="freshness",
    title="outcome closed to every worker serving its model, p95",
    unit="s",
    beside="published for Microsoft's Decision Service",
    targets=(at_most(1.0, of="measured"),),
    better="lower",
    statistic="p95",
)

_CLOSED: Final = """
SELECT d.closes_at, min(m.version) FROM outcomes o JOIN decisions d USING (decision_id)
JOIN models m ON m.policy = o.policy AND m.up_to >= o.position
WHERE o.policy = %s AND o.revision = 0 AND d.closes_at > %s GROUP BY d.decision_id, d.closes_at
"""


class _Watch:
    """Looks again and again which model the worker serves that is furthest behind."""

    def __init__(self, service: Service, policy: PolicyName) -> None:
        self._service = service
        self._policy = policy
        self.seen: list[tuple[int, datetime]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks meanwhile."""
        stopping = threading.Event()

        def run() -> None:
            while not stopping.wait(_LOOK_SECONDS):
                version = metric(self._service, "cxi_bandit_model_version", policy=self._policy)
                if version is not None and (not self.seen or version > self.seen[-1][0]):
                    self.seen.append((int(version), datetime.now(UTC)))

        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(run)
            try:
                yield
            finally:
                stopping.set()
            running.result()

    def served_at(self, version: int) -> datetime | None:
        """When every worker was first seen with this version or a later one."""
        return next((at for seen, at in self.seen if seen >= version), None)


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    samples, policy = [], plan.manifest.policy
    with ExitStack() as ending:
        server = ending.enter_context(service([plan.policy], workers=_WORKERS))
        store = PostgresStore.open(server.dsn)
        ending.callback(store.close)
        warm(server, plan.manifest)
        order = Order(
            port=server.port,
            path="/v1/decisions",
            bodies=bodies.decisions(9, [plan.manifest], features=False),
            headers=server.headers,
            seconds=2 * plan.seconds,
            per_second=_ARRIVALS_PER_SECOND,
        )
        instrument = ending.enter_context(Instrument(order))
        # What the warming up left is learned first.
        time.sleep(_PATIENCE_SECONDS)
        for number in plan.each_round("freshness"):
            begin, watch = datetime.now(UTC), _Watch(server, policy)
            with watch.watching():
                load = instrument.run(seed=number)
                time.sleep(plan.manifest.reward.horizon_seconds + _PATIENCE_SECONDS / 2)
            samples += _seconds(store, watch, policy, begin, load.refused)
    return {_ROW.name: samples}


def _seconds(store: PostgresStore, watch: _Watch, policy: PolicyName, begin: datetime, refused: int) -> list[Sample]:
    with store.database.connection() as connection:
        closed = connection.execute(_CLOSED, [policy, begin]).fetchall()
    found = []
    for closes_at, version in closed:
        served = watch.served_at(version)
        # What was never seen served in all that time counts as the whole of it.
        seconds = _PATIENCE_SECONDS if served is None else (served - closes_at).total_seconds()
        found.append(Sample(seconds, _PUBLISHED_SECONDS, refused))
        refused = 0
    return found


SCENE: Final = Scene("freshness", (_ROW,), _measure)
