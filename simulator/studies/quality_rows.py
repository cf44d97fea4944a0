"""Classification sets as bandit problems: one class, one intervention; the reward is for naming the right class."""

import gzip
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from cxi_bandit.domain.errors import InvalidInput

RARE_RIGHT: Final = 0.10
RARE_WRONG: Final = 0.01


class Row(msgspec.Struct, frozen=True, gc=False):
    """One example: every feature's value, 0 where the file has none, and the index of its class."""

    values: tuple[float, ...]
    label: int


@dataclass(frozen=True, eq=False, kw_only=True)
class RowSet:
    """A file's examples, in its order.

    Attributes:
        features: Names as they stand in the file.
        ranges: Least and greatest value of each feature, as a manifest would declare them.
    """

    name: str
    classes: int
    features: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    rows: tuple[Row, ...]


class Stream:
    """A set in one shuffled order, with the reward that each choice would have: the same for whoever plays it.

    Args:
        rare: Rewards come with probability .10 for the right class and .01 for any other, not 1 and 0.
    """

    def __init__(self, source: RowSet, seed: int, *, rare: bool) -> None:
        seeded = random.Random(seed)
        self.source = source
        self.seed = seed
        self.rare = rare
        self.rows = seeded.sample(source.rows, len(source.rows))
        self._coins = [seeded.random() for _ in self.rows]

    def reward(self, index: int, choice: int) -> float:
        """What the choice of this class earns in row `index`."""
        right = choice == self.rows[index].label
        if not self.rare:
            return float(right)
        return float(self._coins[index] < (RARE_RIGHT if right else RARE_WRONG))


def read_sets(folder: Path) -> list[RowSet]:
    """Every `*_<classes>.vw.gz` of a folder, by file name; a line is `label | name:value …`, labels from 1.

    Raises:
        InvalidInput: There are none.
    """
    files = sorted(folder.glob("*_*.vw.gz"))
    if not files:
        raise InvalidInput("--data", f"{folder} holds no *.vw.gz; name the folder of the classification sets")
    return [_read(file) for file in files]


def _read(file: Path) -> RowSet:
    name = file.name.removesuffix(".vw.gz")
    parsed: list[tuple[int, dict[str, float]]] = []
    with gzip.open(file, "rt") as lines:
        for line in lines:
            label, _, features = line.partition("|")
            pairs = (feature.split(":") for feature in features.split())
            parsed.append((int(label) - 1, {name: float(value) for name, value in pairs}))
    names = sorted({name for _, values in parsed for name in values}, key=int)
    rows = tuple(Row(tuple(values.get(name, 0.0) for name in names), label) for label, values in parsed)
    ranges = tuple((min(column), max(column)) for column in zip(*(row.values for row in rows), strict=True))
    return RowSet(name=name, classes=int(name.rsplit("_", 1)[1]), features=tuple(names), ranges=ranges, rows=rows)
