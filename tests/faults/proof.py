"""What a proof comes to: trials, losses, and figures beside the bounds they are held to."""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import msgspec

from tests.harness.ground import Ground

Tell = Callable[[int], object]
"""Called with the number of trials done so far."""

Prove = Callable[[int, Ground, Tell], "Proof"]
"""Runs a number of trials on a ground of its own. What is lost is counted, not raised: one that raises is broken."""

MOST_NOTES = 20


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Something measured. With a bound it is part of the promise, without one it is told for its own sake."""

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        """Within its bounds."""
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bound = "" if self.at_most is None else f" (≤ {self.at_most:g})"
        bound += "" if self.at_least is None else f" (≥ {self.at_least:g})"
        return f"{self.name} {self.value:.4g}{self.unit and f' {self.unit}'}{bound}"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """How a promise stood up.

    Attributes:
        losses: Each one a broken promise: a decision not in the log, an event learned twice.
        notes: What was lost, in words; the first ones.
    """

    trials: int
    losses: int
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing lost, every figure within its bounds, and something was tried at all."""
        return self.trials > 0 and not self.losses and all(figure.holds for figure in self.figures)

    def __add__(self, other: "Proof") -> "Proof":
        return Proof(
            trials=self.trials + other.trials,
            losses=self.losses + other.losses,
            figures=self.figures + other.figures,
            notes=(self.notes + other.notes)[:MOST_NOTES],
        )


class Losses:
    """Counts what was lost and keeps the first ones in words."""

    def __init__(self) -> None:
        self.count = 0
        self.notes: list[str] = []

    def add(self, note: str, count: int = 1) -> None:
        """Nothing is noted for a count of 0."""
        if count > 0:
            self.count += count
            if len(self.notes) < MOST_NOTES:
                self.notes.append(note)

    def proof(self, trials: int, *figures: Figure) -> Proof:
        """The proof that these losses make."""
        return Proof(trials=trials, losses=self.count, figures=figures, notes=tuple(self.notes))


class Promise(NamedTuple):
    """One line of the table.

    Attributes:
        unit: What a trial is.
        scaled: Trials of `make faults`.
        full: Trials of `FULL=1 make faults`: those of the table.
    """

    number: int
    words: str
    unit: str
    prove: Prove
    scaled: int
    full: int


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 for none."""
    return sorted(values)[max(ceil(share * len(values)) - 1, 0)] if values else 0.0
