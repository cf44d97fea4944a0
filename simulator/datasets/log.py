"""A log to replay: its rounds as arrays, and beside them what a model needs to see of each row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from cxi_bandit.domain.decision import Situation
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.policy.manifest import Manifest
from simulator.rounds import Floats, Ints, LoggedRounds


class Contexts(Protocol):
    """What was known at each row, as a policy's manifest wants to see it. Rows are numbered as in the log's rounds."""

    def situation(self, row: int, manifest: Manifest) -> Situation:
        """The row as the manifest's policy would have met it: its features, its own rules on what is eligible.

        Raises:
            InvalidInput: The manifest cannot be asked about this log; says what does not fit.
        """
        ...

    def training_row(self, row: int, manifest: Manifest) -> TrainingRow:
        """The row as a learner of that manifest sees it: what was eligible and drawn in the log, and what it earned."""
        ...

    def take(self, rows: Ints) -> "Contexts":
        """The contexts of those rows, numbered anew from 0."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayLog:
    """One log, whole, in decision order.

    Args:
        name: As given on the command line.
        reward_range: Declared (smallest, largest) reward, never the log's own.
        manifest: The encoding a reward model uses: the policy's own, or one laid over an imported log's columns.
        rescored: What the logging models give when asked again, shape (n, K), nan where they cannot be; None where the
            log does not know its models.
        smallest_propensity: Declared floor of the logging policy; None where none was declared.
        policy: Whose live log it is; None for an imported one.
        notes: What a reader of the report must know about this log, in sentences.
    """

    name: str
    rounds: LoggedRounds
    reward_range: tuple[float, float]
    contexts: Contexts
    manifest: Manifest
    rescored: Floats | None = None
    smallest_propensity: float | None = None
    policy: PolicyName | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rounds)

    def take(self, rows: Ints) -> "ReplayLog":
        """The rows at `rows`, in that order."""
        return replace(
            self,
            rounds=self.rounds.take(rows),
            contexts=self.contexts.take(rows),
            rescored=None if self.rescored is None else self.rescored[rows],
        )

    def widened(self, actions: Sequence[str]) -> "ReplayLog":
        """The same log over a catalogue that also has `actions`, which it never logged: probability 0, not eligible."""
        known = self.rounds.actions
        added = tuple(name for name in actions if name not in known)
        if not added:
            return self
        rounds = self.rounds
        eligible = np.ones((len(rounds), len(known)), dtype=np.bool_) if rounds.eligible is None else rounds.eligible
        rounds = replace(
            rounds,
            actions=known + added,
            probabilities=None if rounds.probabilities is None else _padded(rounds.probabilities, len(added)),
            eligible=_padded(eligible, len(added)).astype(np.bool_),
        )
        rescored = None if self.rescored is None else _padded(self.rescored, len(added))
        return replace(self, rounds=rounds, rescored=rescored)


def _padded(matrix: Floats | np.ndarray[tuple[int, int], np.dtype[np.bool_]], columns: int) -> Floats:
    return np.pad(matrix, ((0, 0), (0, columns)))
