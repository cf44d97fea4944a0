"""What a bench says: rows with their targets, samples of each round, and the figures that come of them."""

from collections.abc import Sequence
from statistics import median, quantiles
from typing import Literal, NamedTuple

import msgspec

from simulator.bench.orders import rank

_PERCENTILE_95 = 0.95
_FEWEST_FOR_QUARTILES = 2


class Target(msgspec.Struct, frozen=True):
    """A bound on the ratio, or on what was measured itself."""

    of: Literal["ratio", "measured"]
    sense: Literal["at least", "at most"]
    bound: float

    def met(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.bound if self.sense == "at least" else value <= self.bound


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table, as it stands before anything is measured.

    Attributes:
        name: By which it is asked for.
        beside: What it is held against; None where it stands for itself.
        better: Which way is better, of the ratio where there is one.
        statistic: Over the rounds, of what was measured; ratios are medians always.
    """

    name: str
    title: str
    unit: str
    beside: str | None
    targets: tuple[Target, ...] = ()
    better: Literal["higher", "lower"] = "higher"
    statistic: Literal["median", "p95"] = "median"


class Sample(NamedTuple):
    """One round's: what was measured, and what it is held against, taken right before or after it.

    Attributes:
        refused: Answers that were no 2xx.
    """

    measured: float
    against: float | None = None
    refused: int = 0


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A row with its numbers.

    Attributes:
        ratio: Median of the rounds' own ratios, so that a noisy machine cannot fake it.
        spread: Lower and upper quartile of those ratios, or of what was measured where there is no ratio.
        met: Whether every target is; None where there is none. Nothing is met with answers refused.
    """

    row: Row
    samples: int
    measured: float
    against: float | None
    ratio: float | None
    spread: tuple[float, float]
    refused: int
    met: bool | None


def figure(row: Row, samples: Sequence[Sample]) -> Figure:
    """The figure of one row.

    Raises:
        ValueError: There is no sample, or only some have something to be held against.
    """
    if not samples:
        raise ValueError(f"nothing was measured for {row.name}")
    measured = [sample.measured for sample in samples]
    others = [sample.against for sample in samples if sample.against is not None]
    if len(others) not in (0, len(samples)):
        raise ValueError(f"only some rounds of {row.name} have something to be held against")
    ratios = [own / other for own, other in zip(measured, others, strict=True)] if others else []
    central = median(measured) if row.statistic == "median" else rank(sorted(measured), _PERCENTILE_95)
    ratio = median(ratios) if ratios else None
    if ratio is not None and row.statistic != "median":
        ratio = central / median(others)
    refused = sum(sample.refused for sample in samples)
    held = [target.met(central if target.of == "measured" or ratio is None else ratio) for target in row.targets]
    return Figure(
        row=row,
        samples=len(samples),
        measured=central,
        against=median(others) if others else None,
        ratio=ratio,
        spread=_quartiles(ratios or measured),
        refused=refused,
        met=(all(held) and not refused) if held else None,
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < _FEWEST_FOR_QUARTILES:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def at_least(bound: float, of: Literal["ratio", "measured"] = "ratio") -> Target:
    """A target from below."""
    return Target(of, "at least", bound)


def at_most(bound: float, of: Literal["ratio", "measured"] = "ratio") -> Target:
    """A target from above."""
    return Target(of, "at most", bound)
