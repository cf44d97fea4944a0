"""How soon a service answers that was stopped before: from its start to its first 2xx, the database being there."""

import tempfile
from pathlib import Path
from typing import Final

from simulator.bench.figures import Row, Sample, at_most
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.servers import service

_ROW: Final = Row(
    name="start",
    title="`serve` from cold to its first 2xx, database initialised",
    unit="s",
    beside=None,
    targets=(at_most(3.0, of="measured"),),
    better="lower",
)


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    samples = []
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-bench-") as folder:
        with service([plan.policy], data_dir=Path(folder, "data")):
            pass
        for _ in plan.each_round("start"):
            with service([plan.policy], data_dir=Path(folder, "data"), keyed=False) as server:
                samples.append(Sample(server.seconds_to_ready))
    return {_ROW.name: samples}


SCENE: Final = Scene("start", (_ROW,), _measure)
