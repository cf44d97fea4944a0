"""A reward model for off-policy evaluation: VW regression of the reward on the policy's own encoding."""

from collections.abc import Iterable, Sequence

from cxi_bandit.domain.decision import Situation
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.vowpal.encoding import ACTION, SHARED, Encoding
from cxi_bandit.vowpal.workspace import example, open_workspace


class RewardRegressor:
    """q(x, a): expected reward of an intervention in a situation, by squared loss, within the manifest's reward range.

    One pass per `fit`; fitting again learns on. Fit it on other rows than it predicts (cross-fitting).
    """

    def __init__(self, manifest: Manifest) -> None:
        self._encoding = Encoding(manifest)
        self._reward = manifest.reward
        learning = manifest.learning
        arguments = ["--quiet", "-b", str(learning.bits), "-l", f"{learning.learning_rate:g}"]
        for interaction in learning.interactions:
            arguments += ["--interactions", interaction]
        arguments += ["--min_prediction", f"{self._reward.min:.9g}", "--max_prediction", f"{self._reward.max:.9g}"]
        self._workspace = open_workspace(arguments, None)

    def fit(self, rows: Iterable[tuple[Situation, InterventionId, float]]) -> None:
        """Learns (situation, drawn intervention, reward) rows in the order given."""
        for situation, intervention, reward in rows:
            self._workspace.learn(example(self._workspace, self._namespaces(situation, intervention), f"{reward:.9g}"))

    def predict(self, situation: Situation) -> Sequence[float]:
        """Expected reward of each eligible intervention, in the order of `situation.eligible`."""
        return [
            float(self._workspace.predict(example(self._workspace, self._namespaces(situation, name))))
            for name in situation.eligible
        ]

    def _namespaces(
        self, situation: Situation, intervention: InterventionId
    ) -> dict[str, list[str | tuple[str, float]]]:
        return {
            SHARED: self._encoding.shared(situation.defect, situation.context),
            ACTION: self._encoding.action(situation, intervention),
        }
