"""Where models are made and loaded."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from cxi_bandit.domain.decision import Situation
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.policy.manifest import Manifest


class Scorer(Protocol):
    """A loaded model. Predicting leaves no trace: the same situation gives the same vector whatever came before."""

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """The explorer's raw vector over `situation.eligible`: unchecked, unfloored."""
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
