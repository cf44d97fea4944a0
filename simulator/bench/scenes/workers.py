"""Two workers beside one."""

from contextlib import ExitStack
from typing import Final

from simulator.bench import bodies
from simulator.bench.figures import Row, Sample
from simulator.bench.instrument import Instrument
from simulator.bench.orders import Order
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.processes import settle
from simulator.bench.servers import service
from simulator.bench.warm import warm

_ROW: Final = Row(
    name="workers", title="durable decisions, two workers, 64 connections", unit="/s", beside="one worker"
)


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    samples = []
    with ExitStack() as ending:
        sent = bodies.decisions(8, [plan.manifest], features=False)
        servers = [ending.enter_context(service([plan.policy], workers=number)) for number in (1, 2)]
        instruments = []
        for server in servers:
            warm(server, plan.manifest)
            order = Order(
                port=server.port, path="/v1/decisions", bodies=sent, headers=server.headers, seconds=plan.seconds
            )
            instruments.append(ending.enter_context(Instrument(order)))
        for _ in plan.each_round("workers"):
            loads = []
            for other, instrument in zip(reversed(servers), instruments, strict=True):
                # While the other one still works off what it was asked, nothing is measured.
                settle(other.process)
                loads.append(instrument.run())
            one, two = loads
            samples.append(Sample(two.per_second, one.per_second, one.refused + two.refused))
    return {_ROW.name: samples}


SCENE: Final = Scene("workers", (_ROW,), _measure)
