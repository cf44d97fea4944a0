"""What a model's own weights say: the reward it expects of an intervention, and what each feature adds to it."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from vowpalwabbit import pyvw

from cxi_bandit.domain.decision import Situation
from cxi_bandit.domain.explanation import Contribution
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.explorers import Bag
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.vowpal.encoding import ACTION, SHARED, Encoding, Feature
from cxi_bandit.vowpal.workspace import example

# Constants of Vowpal Wabbit's own: how it hashes products of features, and the index of the feature that is always 1.
_FNV_PRIME: Final = 16777619
_SIXTY_FOUR_BITS: Final = (1 << 64) - 1
_CONSTANT_INDEX: Final = 11650396
_CONSTANT_NAMESPACE: Final = 128
_CONSTANT: Final = "(constant)"


class _Hashed(NamedTuple):
    """A feature where VW keeps it: `place` counts single floats, as VW itself does."""

    name: str
    value: float
    place: int


class Weights:
    """Reads a workspace's weights. VW's score of an intervention is the sum of weight x value over what this lists.

    With `bag` every one of its models regresses the cost; with every other explorer one model does, and it is read:
    `cover` and `rnd` keep further ones that only say where to explore.
    """

    def __init__(self, workspace: pyvw.Workspace, encoding: Encoding, manifest: Manifest) -> None:
        explorer = manifest.exploration.explorer
        self._workspace = workspace
        self._encoding = encoding
        self._models = range(explorer.models if isinstance(explorer, Bag) else 1)
        self._interactions = effective_interactions(manifest.learning.interactions)
        self._reward_low = manifest.reward.min
        self._reward_span = manifest.reward.max - manifest.reward.min
        self._spaces = {name: workspace.hash_space(name) for name in (SHARED, ACTION)}
        self._slot = workspace.get_stride()
        probe = example(workspace, {ACTION: []})
        # Explorers with several models keep their weights side by side: a feature's are this many floats apart.
        self._stride = pyvw.pylibvw.example.feature(probe, _CONSTANT_NAMESPACE, 0) // _CONSTANT_INDEX
        self._mask = workspace.num_weights() - 1

    def estimates(self, situation: Situation) -> list[list[float]]:
        """By model that regresses it, the reward expected of each eligible intervention, in the reward's own unit."""
        shared = self._hashed(SHARED, self._encoding.shared(situation.defect, situation.context))
        terms = [list(self._terms(shared, situation, name)) for name in situation.eligible]
        return [
            [
                self._reward_low - self._reward_span * sum(one.value * self._weight(one, model) for one in of_one)
                for of_one in terms
            ]
            for model in self._models
        ]

    def contributions(self, situation: Situation, intervention: InterventionId) -> list[Contribution]:
        """What makes up the expected reward above the least one, the largest share first.

        Of several models it is the mean. What a cost takes away from VW's score adds to the reward.
        """
        shared = self._hashed(SHARED, self._encoding.shared(situation.defect, situation.context))
        found = []
        for one in self._terms(shared, situation, intervention):
            weight = sum(self._weight(one, model) for model in self._models) / len(self._models)
            scaled = -self._reward_span * weight
            found.append(Contribution(feature=one.name, value=one.value, weight=scaled, amount=scaled * one.value))
        return sorted(found, key=lambda one: -abs(one.amount))

    def _terms(self, shared: list[_Hashed], situation: Situation, intervention: InterventionId) -> Iterator[_Hashed]:
        """Everything VW multiplies with a weight: the intervention's features, the constant, and the products."""
        action = self._hashed(ACTION, self._encoding.action(situation, intervention))
        yield from action
        yield _Hashed(_CONSTANT, 1.0, _CONSTANT_INDEX * self._stride)
        spaces = {SHARED: shared, ACTION: action}
        for interaction in self._interactions:
            for factors in _products([spaces[name] for name in interaction], interaction):
                index = 0
                value = 1.0
                for factor in factors:
                    index = (_FNV_PRIME * index & _SIXTY_FOUR_BITS) ^ factor.place
                    value *= factor.value
                yield _Hashed(" x ".join([factor.name for factor in factors]), value, index)

    def _hashed(self, namespace: str, features: Sequence[Feature]) -> list[_Hashed]:
        space, hashed = self._spaces[namespace], []
        for feature in features:
            name, value = (feature, 1.0) if isinstance(feature, str) else feature
            if value != 0.0:
                hashed.append(_Hashed(name, value, self._workspace.hash_feature(name, space) * self._stride))
        return hashed

    def _weight(self, term: _Hashed, model: int) -> float:
        return float(self._workspace.get_weight((term.place // self._slot + model) & self._mask, 0))


def effective_interactions(asked: Sequence[str]) -> list[str]:
    """The products that VW makes of those asked for.

    Of several that name the same namespaces it keeps the first by alphabet, and products of three it sorts.
    """
    kept: dict[str, str] = {}
    for interaction in asked:
        key = "".join(sorted(interaction))
        kept[key] = min(kept.get(key, interaction), interaction) if len(key) < 3 else key  # noqa: PLR2004 - as above
    return list(kept.values())


def _products(spaces: Sequence[list[_Hashed]], interaction: str) -> Iterator[tuple[_Hashed, ...]]:
    """Every product of features; of a namespace with itself each set of features once."""
    for places in itertools.product(*[range(len(space)) for space in spaces]):
        pairs = itertools.pairwise(zip(interaction, places, strict=True))
        # Namespaces of a product of three are sorted, so equal ones are neighbours.
        if all(left[0] != right[0] or left[1] <= right[1] for left, right in pairs):
            yield tuple([space[place] for space, place in zip(spaces, places, strict=True)])
