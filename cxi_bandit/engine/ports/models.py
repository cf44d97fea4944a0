"""Where models are made and loaded."""

from collections.abc import Iterable, Sequence
from typing import Protocol, Self

from cxi_bandit.domain.decision import Situation
from cxi_bandit.domain.explanation import Contribution
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.policy.manifest import Manifest


class Scorer(Protocol):
    """A loaded model. Predicting leaves no trace: the same situation gives the same vector whatever came before."""

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """The explorer's raw vector over `situation.eligible`: unchecked, unfloored."""
        ...

    def together(self, situation: Situation, others: Sequence[Self]) -> list[Sequence[float]]:
        """Its own vector and those of others of the same manifest and room: what each gives alone, for less."""
        ...

    def estimates(self, situation: Situation) -> Sequence[Sequence[float]]:
        """The reward expected of each of `situation.eligible`, in the reward's own unit: what the explorer starts from.

        One vector, or where the explorer has several models that each regress the reward, one of each.
        """
        ...

    def contributions(self, situation: Situation, intervention: InterventionId) -> Sequence[Contribution]:
        """What every feature adds to that expectation above the least reward, the mean of several; largest first.

        Together with the least reward they are the mean of `estimates`, but for the rounding of single precision.
        """
        ...


class ModelRoom(Protocol):
    """Where models are made and loaded."""

    @property
    def build(self) -> str:
        """The exact learner build; part of every lineage."""
        ...

    def start(self, manifest: Manifest) -> bytes:
        """The untrained model of a manifest. Pure."""
        ...

    def learn(self, manifest: Manifest, parent: bytes, rows: Iterable[Lesson]) -> bytes:
        """Loads `parent`, learns `rows` in order, saves. Pure: same arguments, same build, same bytes."""
        ...

    def load(self, manifest: Manifest, data: bytes) -> Scorer:
        """A scorer of those bytes. Raises ModelInvalid when they are no model of this manifest."""
        ...
