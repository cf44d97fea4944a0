"""What the study of the engine's quality found, where it has been run: it takes longer than a bench may."""

from typing import Final

import msgspec

from simulator.bench.figures import Row, Sample, at_least
from simulator.bench.plan import Plan, Samples, Scene

_ROW: Final = Row(
    name="quality",
    title="progressive reward through the whole engine, a sample a data set",
    unit="",
    beside="VW's command line",
    targets=(at_least(0.99),),
)


class _Set(msgspec.Struct):
    """One data set: mean progressive reward and its standard error, by player."""

    rewards: dict[str, tuple[float, float]]


class _Study(msgspec.Struct):
    sets: list[_Set]


def _measure(plan: Plan, _wanted: frozenset[str]) -> Samples:
    if not plan.quality.exists():
        return {}
    study = msgspec.json.decode(plan.quality.read_bytes(), type=_Study)
    return {_ROW.name: [Sample(one.rewards["engine"][0], one.rewards["vw"][0]) for one in study.sets]}


SCENE: Final = Scene("quality", (_ROW,), _measure)
