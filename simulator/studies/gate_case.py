"""A case of the gate's study, and the world most cases live in."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from cxi_bandit.evidence.contrast import Integers
from simulator.studies.gate_paths import NEVER, first_crossings
from simulator.studies.gate_worlds import World, greedy, mild, rates

ALPHA: Final = 0.05
EVENTS: Final = 20_000
LOOKS: Final = np.arange(250, EVENTS + 1, 250)
Measure = Callable[[np.random.Generator, int], Integers]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table.

    Attributes:
        measure: First crossings, (runs, 3) for E_raw, E_cv and their average, or (runs, 1) for one statistic.
        claim: The number claimed; None where none was published.
        kind: `at_most` is a proved bound, to be kept by every column. `near` is a published power, to be met within 3
            points. `median` is a published number of events, to be exceeded by a tenth at most. `trap` shows what a
            mistake costs, so that one sees that the case above it could have failed; there is nothing to pass.
        after: Crossings up to here do not count as found; the median counts from here.
    """

    name: str
    measure: Measure
    claim: float | None
    kind: Literal["at_most", "near", "trap", "median"]
    after: int = 0


def standard_world(
    base: float, raised: float = 0.0, *, is_mild: bool = False, delta: float = 0.0, cap: float | None = None
) -> World:
    """ε-greedy on arm 0 logs and is live, ε-greedy on arm 1 (`raised`) wants to be; mild: ε = .5, half and half."""
    logger = greedy(0, 0.5 if is_mild else 0.2)
    candidate = mild(logger, greedy(1, 0.5)) if is_mild else greedy(1)
    return World(
        logger=logger,
        incumbent=logger,
        candidate=candidate,
        reward=rates(base, raised),
        delta=delta,
        weight_cap=cap,
    )


def crossings(world: World, looks: Integers = LOOKS, threshold: float = 1 / ALPHA) -> Measure:
    """When the gate's evidence first stands at the threshold at a look."""
    return lambda rng, runs: first_crossings(world.paths(rng, runs, EVENTS), looks, threshold)


def crossed_anywhere(crossed: npt.NDArray[np.bool_]) -> Integers:
    """Whether any look (row) crossed, as first crossings, (runs, 1)."""
    return np.where(crossed.any(axis=0), crossed.argmax(axis=0) + 1, NEVER).astype(np.int64)[:, None]
