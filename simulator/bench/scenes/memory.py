"""Whether a worker grows: its memory after a million decisions beside that after ten thousand."""

from contextlib import ExitStack
from typing import Final

from simulator.bench import bodies
from simulator.bench.figures import Row, Sample, at_most
from simulator.bench.instrument import Instrument
from simulator.bench.orders import Order
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.processes import proportional_bytes
from simulator.bench.servers import Service, service
from simulator.bench.warm import warm

_FEW: Final = 10_000
_MEGABYTE: Final = 1e6

_ROW: Final = Row(
    name="memory",
    title="a worker's memory (PSS) after a tenth of `--logged` decisions",
    unit="MB",
    beside="after 10,000",
    targets=(at_most(1.05),),
    better="lower",
)


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    many = plan.logged // 10
    with ExitStack() as ending:
        server = ending.enter_context(service([plan.policy]))
        plan.tell("memory: warming up")
        warm(server, plan.manifest)
        order = Order(
            port=server.port,
            path="/v1/decisions",
            bodies=bodies.decisions(11, [plan.manifest], features=False),
            headers=server.headers,
            seconds=plan.seconds,
        )
        instrument = ending.enter_context(Instrument(order))
        answered = refused = 0
        after: list[float] = []
        for mark in (_FEW, many):
            while answered < mark:
                load = instrument.run()
                answered, refused = answered + load.answered, refused + load.refused
                plan.tell(f"memory: {answered:,} of {many:,} decisions")
            after.append(_megabytes(server))
    return {_ROW.name: [Sample(after[1], after[0], refused)]}


def _megabytes(server: Service) -> float:
    """Of the largest of the API's processes: its worker."""
    return max(proportional_bytes(pid) for pid in server.api) / _MEGABYTE


SCENE: Final = Scene("memory", (_ROW,), _measure, long=True)
