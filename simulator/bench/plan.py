"""How long and how often is measured, and who is told meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from simulator.bench.figures import Row, Sample
from simulator.bench.instrument import Instrument
from simulator.bench.orders import Load
from simulator.bench.processes import cpu_seconds
from simulator.bench.servers import POLICY, Server


@dataclass(frozen=True)
class Plan:
    """What the command line asked for.

    Args:
        seconds: Of each load in a closed loop; an open loop lasts twice as long, its tail needs the numbers.
        policy: The manifest served where a scene does not need one of its own.
        logged: Decisions that stand in the log of the long rows.
        quality: The JSON document of the study of quality; its row is left out where there is none.
        tell: Called with what is being done.
    """

    rounds: int = 15
    seconds: float = 1.0
    policy: Path = POLICY
    logged: int = 10_000_000
    quality: Path = Path("quality.json")
    tell: Callable[[str], None] = lambda _: None

    @property
    def manifest(self) -> Manifest:
        """The manifest of `policy`."""
        return manifest_of(self.policy)

    def telling(self, tell: Callable[[str], None]) -> "Plan":
        """The same plan, told to another."""
        return replace(self, tell=tell)

    def each_round(self, what: str) -> Iterator[int]:
        """The rounds' numbers, each told."""
        for number in range(self.rounds):
            self.tell(f"{what}, round {number + 1} of {self.rounds}")
            yield number


Samples = dict[str, list[Sample]]
"""By row."""


@dataclass(frozen=True)
class Scene:
    """Rows that are measured together.

    Args:
        measure: Given which of its rows are wanted; each round adds one sample to each.
        long: Left out unless it is asked for.
    """

    name: str
    rows: tuple[Row, ...]
    measure: Callable[[Plan, frozenset[str]], Samples]
    long: bool = False


class Taken(NamedTuple):
    """A load and what the server's processes used for it."""

    load: Load
    cpu_seconds: float

    @property
    def cpu_microseconds(self) -> float:
        """Of the server, for each answer."""
        return self.cpu_seconds / self.load.answered * 1e6


def take(instrument: Instrument, server: Server, *, seed: int = 1, keep: int = 0) -> Taken:
    """Carries an order out and reads the server's processor time before and after."""
    before = cpu_seconds(server.api)
    load = instrument.run(seed=seed, keep=keep)
    return Taken(load, cpu_seconds(server.api) - before)


def manifest_of(path: Path) -> Manifest:
    """The manifest in a file."""
    return parse_manifest(path.read_text("utf-8"), path.name)
