"""The tail while models are exchanged: all four shipped policies get another model every second."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Final

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.store.postgres import PostgresStore
from simulator.bench import bodies
from simulator.bench.figures import Row, Sample, at_most
from simulator.bench.instrument import Instrument
from simulator.bench.metrics import await_metric
from simulator.bench.orders import Order
from simulator.bench.plan import Plan, Samples, Scene, manifest_of
from simulator.bench.servers import SHIPPED, service
from simulator.bench.taught import lessons, publish_beside_learner

_EVERY_SECONDS: Final = 1.0
_ARRIVALS_PER_SECOND: Final = 1000.0
_MODELS: Final = 4
_OUTCOMES: Final = 1000

_ROW: Final = Row(
    name="swaps",
    title="p99 at 1,000/s while four models are swapped every second",
    unit="ms",
    beside="without swaps",
    targets=(at_most(2.0),),
    better="lower",
)


class _Publisher:
    """Publishes the next of a few models of every policy, over and over."""

    def __init__(self, dsn: str) -> None:
        texts = [(path.name, path.read_text("utf-8")) for path in SHIPPED]
        self._engine = in_memory_engine(texts)
        self.manifests = [manifest_of(path) for path in SHIPPED]
        self._models = {one.name: lessons(self._engine, one, _MODELS, _OUTCOMES) for one in self.manifests}
        self._store = PostgresStore.open(dsn)
        self._turn = count()
        self.last: dict[str, int] = {}

    def publish(self) -> None:
        """One more model of each."""
        turn = next(self._turn)
        for manifest in self.manifests:
            data = self._models[manifest.name][turn % _MODELS]
            registry, room = self._store.registry, self._engine.room
            model = publish_beside_learner(registry, room, manifest, data, learned=_OUTCOMES)
            self.last[manifest.name] = model.lineage.version

    def close(self) -> None:
        """Lets go of the database."""
        self._store.close()

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Publishes every second meanwhile, beginning half a second in."""
        stopping = threading.Event()

        def run() -> None:
            pause = _EVERY_SECONDS / 2
            while not stopping.wait(pause):
                started = time.monotonic()
                self.publish()
                pause = max(_EVERY_SECONDS - (time.monotonic() - started), 0.0)

        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(run)
            try:
                yield
            finally:
                stopping.set()
            running.result()


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    samples = []
    with ExitStack() as ending:
        server = ending.enter_context(service(SHIPPED))
        plan.tell("swaps: teaching models")
        publisher = _Publisher(server.dsn)
        ending.callback(publisher.close)
        publisher.publish()
        order = Order(
            port=server.port,
            path="/v1/decisions",
            bodies=bodies.decisions(6, publisher.manifests, features=False),
            headers=server.headers,
            seconds=max(2 * plan.seconds, _EVERY_SECONDS),
            per_second=_ARRIVALS_PER_SECOND,
        )
        instrument = ending.enter_context(Instrument(order))
        instrument.run()
        for number in plan.each_round("swaps"):
            calm = instrument.run(seed=number)
            with publisher.publishing():
                swapping = instrument.run(seed=number)
            # All that was published is in service, or the round measured something else.
            for policy, version in publisher.last.items():
                await_metric(server, version, "cxi_bandit_model_version", policy=policy)
            samples.append(Sample(swapping.p99_ms, calm.p99_ms, calm.refused + swapping.refused))
    return {_ROW.name: samples}


SCENE: Final = Scene("swaps", (_ROW,), _measure)
