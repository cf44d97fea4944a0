"""What was known at each row of a log, beside its numbers."""

from dataclasses import dataclass
from typing import Protocol

from cxi_bandit.domain.decision import Features, Situation
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.policy.manifest import Manifest
from simulator.rounds import Float64s, Ints


@dataclass(frozen=True)
class Described:
    """A row in the words of its own log, under no manifest: what segments are made of."""

    surface: str
    defect: str
    context: Features


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

    def described(self, row: int) -> Described:
        """The row as it was logged."""
        ...

    def take(self, rows: Ints) -> "Contexts":
        """The contexts of those rows, numbered anew from 0."""
        ...

    def rewarded(self, reward: Float64s) -> "Contexts":
        """The same contexts with other rewards in the training rows, shape (n,)."""
        ...
