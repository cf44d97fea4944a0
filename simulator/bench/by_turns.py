"""Two services by turns: the durable decisions a second of one beside those of the other."""

from collections.abc import Sequence
from contextlib import ExitStack

from simulator.bench import bodies
from simulator.bench.figures import Sample
from simulator.bench.instrument import Instrument
from simulator.bench.orders import Order
from simulator.bench.plan import Plan
from simulator.bench.processes import settle
from simulator.bench.servers import Service
from simulator.bench.warm import warm


def by_turns(plan: Plan, services: Sequence[Service], what: str, *, seed: int) -> list[Sample]:
    """The second of two services, which serve the plan's policy, beside the first; a sample a round.

    Args:
        seed: Of the requests.
    """
    sent = bodies.decisions(seed, [plan.manifest], features=False)
    samples = []
    with ExitStack() as ending:
        instruments = []
        for server in services:
            warm(server, plan.manifest)
            order = Order(
                port=server.port, path="/v1/decisions", bodies=sent, headers=server.headers, seconds=plan.seconds
            )
            instruments.append(ending.enter_context(Instrument(order)))
        for _ in plan.each_round(what):
            loads = []
            for other, instrument in zip(reversed(services), instruments, strict=True):
                # While the other one still works off what it was asked, nothing is measured.
                settle(other.process)
                loads.append(instrument.run())
            first, second = loads
            samples.append(Sample(second.per_second, first.per_second, first.refused + second.refused))
    return samples
