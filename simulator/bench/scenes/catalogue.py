"""What an intervention costs when there are many: worker's processor time of a decision, over its interventions."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from simulator.bench import bodies
from simulator.bench.figures import Row, Sample, at_most
from simulator.bench.instrument import Instrument
from simulator.bench.orders import Order
from simulator.bench.plan import Plan, Samples, Scene, Taken, manifest_of, take
from simulator.bench.servers import service
from simulator.bench.warm import warm

_FEW: Final = 10
_MANY: Final = 200

_ROW: Final = Row(
    name="catalogue",
    title="processor time for each of 200 interventions",
    unit="us",
    beside="each of 10",
    targets=(at_most(1.0),),
    better="lower",
)

_MANIFEST: Final = """
format = 1
name = "bench-{number}"
surface = "bench_{number}"
[defects.price_jump]
[context.features]
device = {{ type = "category", values = ["mobile", "desktop", "tablet", "app"] }}
tier = {{ type = "category", values = ["none", "silver", "gold"] }}
returning = {{ type = "flag" }}
cart_value = {{ type = "number", min = 0, max = 2000, scale = "log" }}
[intervention_features.features]
kind = {{ type = "category", values = ["price", "delivery", "content", "person"] }}
generosity = {{ type = "number", min = 0, max = 1 }}
[reward]
horizon_seconds = 0.3
min = 0
max = 1
[reward.metrics.purchase]
weight = 1.0
min = 0
max = 1
[exploration]
floor = 0.001
hold_floor = 0.01
[exploration.cold_start]
hold = 0.3
outcomes = 100
[learning]
segment_outcomes = 1000
[[interventions]]
id = "hold"
"""


def manifest_text(number: int) -> str:
    """A policy of so many interventions, `hold` among them, on a surface of its own."""
    kinds = ("price", "delivery", "content", "person")
    entries = (
        f'[[interventions]]\nid = "offer_{place}"\n'
        f'features = {{ kind = "{kinds[place % len(kinds)]}", generosity = {place / number:.3f} }}\n'
        for place in range(1, number)
    )
    return _MANIFEST.format(number=number) + "".join(entries)


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    samples = []
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="cxi-bandit-bench-")))
        paths = {number: folder / f"{number}.toml" for number in (_FEW, _MANY)}
        for number, path in paths.items():
            path.write_text(manifest_text(number), "utf-8")
        server = ending.enter_context(service(list(paths.values())))
        instruments = {}
        for number, path in paths.items():
            manifest = manifest_of(path)
            warm(server, manifest)
            order = Order(
                port=server.port,
                path="/v1/decisions",
                bodies=bodies.decisions(7, [manifest], features=False),
                headers=server.headers,
                seconds=plan.seconds,
            )
            instruments[number] = ending.enter_context(Instrument(order))
        for _ in plan.each_round("catalogue"):
            taken = {number: take(instrument, server) for number, instrument in instruments.items()}
            refused = sum(one.load.refused for one in taken.values())
            samples.append(Sample(_each(taken, _MANY), _each(taken, _FEW), refused))
    return {_ROW.name: samples}


def _each(taken: dict[int, Taken], number: int) -> float:
    return taken[number].cpu_microseconds / number


SCENE: Final = Scene("catalogue", (_ROW,), _measure)
