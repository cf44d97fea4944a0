"""What a partition is, where partitions come from, and how a log's arrays are laid out for other processes to read."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cxi_bandit.domain.errors import InvalidInput
from simulator.rounds import Float64s, Floats, LoggedRounds, ScoredRounds

PARTITION_ROWS: Final = 262_144
"""Rows of a partition unless told otherwise: enough to hide what starting a task costs, few enough to spread."""

_OPTIONAL: Final = ("q_hat", "q_hat_mrdr", "mixture_propensity", "rescored", "evidence")


@dataclass(frozen=True, eq=False, kw_only=True)
class Partition:
    """Consecutive rows of a log with a candidate's probabilities. Arrays are borrowed, not copied.

    Args:
        rounds: The rows, m of them.
        candidate: π_e(a|x), shape (m, K).
        first_row: Number of the first of them in the whole log, from 0.
        q_hat: Predicted rewards, shape (m, K), fitted on *other* rows by the caller; None fits the smoothed mean.
        q_hat_mrdr: The same fitted under `mrdr_weight`; given with `q_hat` or not at all.
        mixture_propensity: Of the logged action under all logging versions, shape (m,).
        rescored: The incumbent's probabilities computed again, shape (m, K).
        evidence: By how much events moved each row's reward, shape (m,); None takes the reward itself.
    """

    rounds: LoggedRounds
    candidate: Floats
    first_row: int = 0
    q_hat: Floats | None = None
    q_hat_mrdr: Floats | None = None
    mixture_propensity: Float64s | None = None
    rescored: Floats | None = None
    evidence: Float64s | None = None

    def __post_init__(self) -> None:
        if (self.q_hat is None) != (self.q_hat_mrdr is None):
            raise InvalidInput("q_hat", "predictions for dr and for mrdr are given together or not at all")

    def __len__(self) -> int:
        return len(self.rounds)

    def take(self, rows: slice) -> "Partition":
        """Views of consecutive rows; `rows` has a start and no step."""
        parts = {name: None if (a := getattr(self, name)) is None else a[rows] for name in _OPTIONAL}
        return Partition(
            rounds=self.rounds.take(rows),
            candidate=self.candidate[rows],
            first_row=self.first_row + int(rows.start),
            **parts,
        )

    def blocks(self, size: int) -> Iterator["Partition"]:
        """The rows in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, min(start + size, len(self))))

    def scored(self, q_hat: Floats | None) -> ScoredRounds:
        """The rows under those predictions."""
        return ScoredRounds(self.rounds, self.candidate, q_hat, self.mixture_propensity)


class Source(Protocol):
    """Where one partition comes from. It crosses process borders pickled, so it names its data."""

    def load(self) -> Partition:
        """The partition; called once in each of the two passes, and the same both times."""
        ...


@dataclass(frozen=True, eq=False)
class ArraySlice:
    """Rows `start` to `stop` of a partition in this process's memory."""

    whole: Partition
    start: int
    stop: int

    def load(self) -> Partition:
        """Views."""
        return self.whole.take(slice(self.start, self.stop))


@dataclass(frozen=True)
class ArrayFiles:
    """Rows `start` to `stop` of arrays that `written` laid out in a folder, mapped into memory and never read whole.

    Args:
        folder: Must be readable wherever the partition is evaluated.
        actions: The catalogue.
        start: First row.
        stop: One past the last row.
    """

    folder: Path
    actions: tuple[str, ...]
    start: int
    stop: int

    def load(self) -> Partition:
        """Maps the rows."""
        found: dict[str, Any] = {}
        for file in sorted(self.folder.glob("*.npy")):
            # A plain array over the mapping: a memmap of one row would be a scalar of another type.
            found[file.stem] = np.asarray(np.load(file, mmap_mode="r"))[self.start : self.stop]
        own = {name: found.pop(name) for name in ("candidate", *_OPTIONAL) if name in found}
        return Partition(rounds=LoggedRounds(actions=self.actions, **found), first_row=self.start, **own)

    @staticmethod
    def written(whole: Partition, folder: Path, rows: int = PARTITION_ROWS) -> list["ArrayFiles"]:
        """Writes every array of `whole` once, and names its partitions of `rows` rows."""
        with ArrayWriter(folder, len(whole)) as writer:
            writer.append(whole)
        return writer.files(rows)


class ArrayWriter:
    """Lays out a log's arrays as files in a folder, in as many pieces as it comes in, and keeps none of them.

    Args:
        folder: Empty.
        rows: Of the whole log; as many must have been appended when the writer is closed.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder = folder
        self._rows = rows
        self._written = 0
        self._actions: tuple[str, ...] | None = None
        self._files: dict[str, tuple[BinaryIO, np.dtype[Any], tuple[int, ...]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for file, _, _ in self._files.values():
            file.close()

    def append(self, part: Partition) -> None:
        """Writes the rows right after those written so far.

        Raises:
            InvalidInput: The part has other actions or other arrays than the first one.
        """
        found = {field.name: getattr(part.rounds, field.name) for field in fields(LoggedRounds)}
        found |= {name: getattr(part, name) for name in ("candidate", *_OPTIONAL)}
        arrays = {name: values for name, values in found.items() if isinstance(values, np.ndarray)}
        if self._actions is None:
            self._actions = part.rounds.actions
            self._files = {name: self._opened(name, values) for name, values in arrays.items()}
        kinds = {name: (values.dtype, values.shape[1:]) for name, values in arrays.items()}
        if (part.rounds.actions, kinds) != (
            self._actions,
            {name: (dtype, shape) for name, (_, dtype, shape) in self._files.items()},
        ):
            raise InvalidInput("actions", "every part of a log must have the same actions and the same arrays")
        for name, values in arrays.items():
            self._files[name][0].write(np.ascontiguousarray(values).tobytes())
        self._written += len(part)

    def files(self, rows: int = PARTITION_ROWS) -> list[ArrayFiles]:
        """The partitions of `rows` rows of what was written.

        Raises:
            InvalidInput: It is not the whole log.
        """
        if self._written != self._rows or self._actions is None:
            raise InvalidInput("log", f"{self._written} rows were laid out of {self._rows}")
        return [ArrayFiles(self._folder, self._actions, start, stop) for start, stop in _ranges(self._rows, rows)]

    def _opened(self, name: str, values: NDArray[Any]) -> tuple[BinaryIO, np.dtype[Any], tuple[int, ...]]:
        file = (self._folder / f"{name}.npy").open("wb")
        shape = (self._rows, *values.shape[1:])
        header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        return file, values.dtype, values.shape[1:]


def array_slices(whole: Partition, rows: int = PARTITION_ROWS) -> list[ArraySlice]:
    """The partitions of a log in memory, `rows` rows each."""
    return [ArraySlice(whole, start, stop) for start, stop in _ranges(len(whole), rows)]


def _ranges(n: int, rows: int) -> list[tuple[int, int]]:
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]
