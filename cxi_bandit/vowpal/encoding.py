"""Domain values as Vowpal Wabbit features: names and values percent-encoded, numbers scaled, in manifest order."""

import math
from typing import Final, NamedTuple
from urllib.parse import quote

from cxi_bandit.domain.decision import Defect, Features, FeatureValue, Situation
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.manifest import FeatureType, Manifest, NumberFeature

Feature = str | tuple[str, float]

SHARED: Final = "S"
ACTION: Final = "A"
ENCODING_VERSION: Final = 1
"""Raise it with any change, here or in `arguments`, after which the same rows give other bytes."""


class _Scale(NamedTuple):
    low: float
    span: float
    logarithmic: bool

    def __call__(self, value: float) -> float:
        """Position of `value` within its declared range, 0 to 1."""
        offset = value - self.low
        return (math.log1p(offset) if self.logarithmic else offset) / self.span


class Encoding:
    """How a manifest's situations look to VW. Namespace S holds the context and defect, A one intervention.

    Text and example objects hash alike because both carry the same percent-encoded names; nothing a caller sends can
    therefore open a namespace, a weight or another action.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._context = _scales(manifest.context.features)
        self._described = _scales(manifest.intervention_features.features)
        self._catalogue = {
            InterventionId(entry.id): self._action(InterventionId(entry.id), entry.features)
            for entry in manifest.interventions
        }
        self._reward_low = manifest.reward.min
        self._reward_span = manifest.reward.max - manifest.reward.min

    @property
    def catalogue(self) -> dict[InterventionId, list[Feature]]:
        """Namespace A of every intervention with its catalogue features."""
        return self._catalogue

    def shared(self, defect: Defect, context: Features) -> list[Feature]:
        """Namespace S of a situation; `context` in manifest order, as `conform` returns it."""
        features: list[Feature] = [
            f"defect={defect.type}",
            ("severity", defect.severity),
            ("confidence", defect.confidence),
        ]
        for name, value in context.items():
            features.append(_encoded(name, value, self._context[name]))
        return features

    def action(self, situation: Situation, intervention: InterventionId) -> list[Feature]:
        """Namespace A of one intervention: the caller's features where it sent some, else the catalogue's."""
        offered = situation.offered.get(intervention)
        return self._catalogue[intervention] if offered is None else self._action(intervention, offered)

    def cost(self, reward: float) -> float:
        """Minus the reward, scaled to [-1, 0] by the declared range: what VW minimises."""
        return -((reward - self._reward_low) / self._reward_span)

    def _action(self, intervention: InterventionId, features: Features) -> list[Feature]:
        encoded: list[Feature] = [f"id={intervention}"]
        for name, scale in self._described.items():
            if name in features:
                encoded.append(_encoded(name, features[name], scale))
        return encoded


def _scales(features: dict[str, FeatureType]) -> dict[str, _Scale | None]:
    scales: dict[str, _Scale | None] = {}
    for name, kind in features.items():
        if isinstance(kind, NumberFeature):
            logarithmic = kind.scale == "log"
            span = math.log1p(kind.max - kind.min) if logarithmic else kind.max - kind.min
            scales[name] = _Scale(kind.min, span, logarithmic)
        else:
            scales[name] = None
    return scales


def _encoded(name: str, value: FeatureValue, scale: _Scale | None) -> Feature:
    if scale is not None and isinstance(value, float):
        return (name, scale(value))
    if isinstance(value, str):
        return f"{name}={quote(value, safe='')}"
    return f"{name}={'true' if value else 'false'}"
