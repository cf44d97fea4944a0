"""Two workers beside one."""

from contextlib import ExitStack
from typing import Final

from simulator.bench.by_turns import by_turns
from simulator.bench.figures import Row
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.servers import service

_ROW: Final = Row(
    name="workers", title="durable decisions, two workers, 64 connections", unit="/s", beside="one worker"
)


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    with ExitStack() as ending:
        services = [ending.enter_context(service([plan.policy], workers=number)) for number in (1, 2)]
        return {_ROW.name: by_turns(plan, services, "workers", seed=8)}


SCENE: Final = Scene("workers", (_ROW,), _measure)
