"""VowpalRoom: models made from nothing, learned on from bytes, and loaded for scoring."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final, Self

import vowpalwabbit
from vowpalwabbit import pyvw

from cxi_bandit.domain.decision import Situation
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.explanation import Contribution
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.vowpal.arguments import workspace_arguments
from cxi_bandit.vowpal.encoding import ACTION, ENCODING_VERSION, SHARED, Encoding
from cxi_bandit.vowpal.weights import Weights
from cxi_bandit.vowpal.workspace import Refilled, action_scores, example, learn, open_workspace, saved_bytes

_REMEMBERED: Final = 1024


class VowpalScorer:
    """A loaded model. It only ever predicts; predicting changes what a workspace would save, so it is never saved.

    The examples of the catalogue's interventions are built once and shared by all predictions, the others are refilled:
    prediction costs a fraction of building examples.
    """

    def __init__(self, workspace: pyvw.Workspace, manifest: Manifest) -> None:
        encoding = Encoding(manifest)
        self._manifest = manifest
        self._workspace = workspace
        self._encoding = encoding
        self._shared = Refilled(workspace, SHARED, "shared")
        self._offered = Refilled(workspace, ACTION)
        self._catalogue = {
            name: example(workspace, {ACTION: features}) for name, features in encoding.catalogue.items()
        }
        self._of_eligible: dict[tuple[InterventionId, ...], list[pyvw.Example]] = {}

    def probabilities(self, situation: Situation) -> Sequence[float]:
        """The explorer's raw vector over the eligible interventions, float32 values as Python floats."""
        (scores,) = self.together(situation, ())
        return scores

    def together(self, situation: Situation, others: Sequence[Self]) -> list[Sequence[float]]:
        """See the port. Workspaces of one manifest are made with the same flags, so they read the same examples."""
        encoding, offered = self._encoding, situation.offered
        shared = self._shared.filled(encoding.shared(situation.defect, situation.context))
        own: dict[InterventionId, pyvw.pylibvw.example] = {}
        if offered:
            own = {
                name: self._offered.filled(encoding.action(situation, name))
                for name in situation.eligible
                if name in offered
            }
            actions = [own[name] if name in own else self._catalogue[name] for name in situation.eligible]
        else:
            actions = self._actions(situation.eligible)
        examples = [shared, *actions]
        scores = [action_scores(self._workspace, examples)]
        scores += [action_scores(other._workspace, examples) for other in others]  # noqa: SLF001 - of its own kind
        self._shared.emptied(shared)
        for one in own.values():
            self._offered.emptied(one)
        return scores

    def estimates(self, situation: Situation) -> Sequence[Sequence[float]]:
        """See the port."""
        return self._weights.estimates(situation)

    def contributions(self, situation: Situation, intervention: InterventionId) -> Sequence[Contribution]:
        """See the port."""
        return self._weights.contributions(situation, intervention)

    @cached_property
    def _weights(self) -> Weights:
        """Most models are never asked why."""
        return Weights(self._workspace, self._encoding, self._manifest)

    def _actions(self, eligible: tuple[InterventionId, ...]) -> list[pyvw.Example]:
        """The catalogue's examples of these; few combinations come up, however many callers could ask for."""
        found = self._of_eligible.get(eligible)
        if found is None:
            found = [self._catalogue[name] for name in eligible]
            if len(self._of_eligible) < _REMEMBERED:
                self._of_eligible[eligible] = found
        return found


class VowpalRoom:
    """Implements the engine's ModelRoom on Vowpal Wabbit. Stateless; every call makes a workspace of its own."""

    @property
    def build(self) -> str:
        """VW's version, and that of our own encoding and arguments: others may save other bytes from the same rows."""
        return f"vowpalwabbit {vowpalwabbit.__version__}, encoding {ENCODING_VERSION}"

    def start(self, manifest: Manifest) -> bytes:
        """The untrained model of a manifest."""
        return saved_bytes(open_workspace(workspace_arguments(manifest), None))

    def learn(self, manifest: Manifest, parent: bytes, rows: Iterable[Lesson]) -> bytes:
        """Loads `parent`, learns `rows` in order, saves.

        Raises:
            ModelInvalid: `parent` is no model of this manifest.
            InvalidInput: A row's propensity is outside (0, 1] or its reward is not finite: one such example can stop VW
                from learning for good, so nothing is learned.
        """
        workspace = open_workspace(workspace_arguments(manifest), parent)
        pupil = _Pupil(workspace, Encoding(manifest))
        for row in rows:
            pupil.learn(row)
        return saved_bytes(workspace)

    def load(self, manifest: Manifest, data: bytes) -> VowpalScorer:
        """A scorer of those bytes, made with the very flags they were learned with.

        Raises:
            ModelInvalid: VW refuses the bytes.
        """
        return VowpalScorer(open_workspace(workspace_arguments(manifest), data), manifest)


class _Pupil:
    """A workspace that learns lessons, one after the other.

    The examples of the catalogue's interventions are built once, others are refilled, as a scorer's are; only the
    intervention that was drawn has a label, hence an example of its own each time.
    """

    def __init__(self, workspace: pyvw.Workspace, encoding: Encoding) -> None:
        self._workspace = workspace
        self._encoding = encoding
        self._shared = Refilled(workspace, SHARED, "shared")
        self._actions = Refilled(workspace, ACTION)
        self._catalogue = {name: self._actions.filled(features) for name, features in encoding.catalogue.items()}

    def learn(self, lesson: Lesson) -> None:
        """Raises InvalidInput: nothing is learned from a lesson that would stop VW from learning for good."""
        if not 0.0 < lesson.propensity <= 1.0:
            raise InvalidInput(
                f"/outcomes/{lesson.position}/propensity", f"must lie within (0, 1], got {lesson.propensity!r}"
            )
        if not math.isfinite(lesson.reward):
            raise InvalidInput(f"/outcomes/{lesson.position}/reward", f"must be finite, got {lesson.reward!r}")
        encoding, situation, drawn = self._encoding, lesson.situation, lesson.intervention
        shared = self._shared.filled(encoding.shared(situation.defect, situation.context))
        own = {
            name: self._actions.filled(encoding.action(situation, name))
            for name in situation.offered
            if name != drawn and name in situation.eligible
        }
        label = f"0:{encoding.cost(lesson.reward):.9g}:{lesson.propensity:.9g}"
        labelled = self._actions.labelled(encoding.action(situation, drawn), label)
        others = {**self._catalogue, **own} if own else self._catalogue
        actions = [labelled if name == drawn else others[name] for name in situation.eligible]
        learn(self._workspace, [shared, *actions])
        self._shared.emptied(shared)
        for one in own.values():
            self._actions.emptied(one)
