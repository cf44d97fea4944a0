"""The rule of `make bench-compare`: a ratio that became a fifth worse than the one recorded is a failure, named."""

from typing import Final, NamedTuple

from simulator.bench.figures import Figure
from simulator.bench.report import Report

WORST: Final = 0.8
"""How much of a recorded ratio must be left."""


class Fall(NamedTuple):
    """A figure that fell.

    Attributes:
        left: Share of the recorded ratio, or of its reciprocal where lower is better.
    """

    name: str
    ratio: float
    recorded: float
    left: float


def falls(recorded: Report, made: Report) -> list[Fall]:
    """The figures of a run that fell under what was recorded. Those that stand in one of the two only are no fall."""
    before = {figure.row.name: figure for figure in recorded.figures}
    found = []
    for figure in made.figures:
        held = before.get(figure.row.name)
        if held is None or held.ratio is None or figure.ratio is None:
            continue
        left = _left(figure, figure.ratio, held.ratio)
        if left < WORST:
            found.append(Fall(figure.row.name, figure.ratio, held.ratio, left))
    return found


def _left(figure: Figure, ratio: float, recorded: float) -> float:
    return ratio / recorded if figure.row.better == "higher" else recorded / ratio
