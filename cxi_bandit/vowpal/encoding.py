"""Domain values as Vowpal Wabbit features: names and values percent-encoded, numbers scaled, in manifest order."""

import math
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from cxi_bandit.domain.decision import Defect, Features, FeatureValue, Situation
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.manifest import FeatureType, Manifest, NumberFeature

Feature = str | tuple[str, float]
_Encoder = Callable[[FeatureValue], Feature]

SHARED: Final = "S"
ACTION: Final = "A"
ENCODING_VERSION: Final = 1
"""Raise it with any change, here or in `arguments`, after which the same rows give other bytes."""

_REMEMBERED: Final = 4096


class Encoding:
    """How a manifest's situations look to VW. Namespace S holds the context and defect, A one intervention.

    Text and example objects hash alike because both carry the same percent-encoded names; nothing a caller sends can
    therefore open a namespace, a weight or another action.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._context = {name: _encoder(name, kind) for name, kind in manifest.context.features.items()}
        described = manifest.intervention_features.features
        self._described = {name: _encoder(name, kind) for name, kind in described.items()}
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
        encoders = self._context
        features += [encoders[name](value) for name, value in context.items()]
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
        encoded += [encoder(features[name]) for name, encoder in self._described.items() if name in features]
        return encoded


class _Spelled(dict[FeatureValue, Feature]):
    """A feature's values as `name=value`. Few values make most of the traffic: each is spelled out once.

    What is remembered is bounded, as callers may send any string where the manifest does not close the list.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, value: FeatureValue) -> Feature:
        spelled = quote(value, safe="") if isinstance(value, str) else "true" if value else "false"
        feature = f"{self._name}={spelled}"
        if len(self) < _REMEMBERED:
            self[value] = feature
        return feature


def _encoder(name: str, kind: FeatureType) -> _Encoder:
    spelled = _Spelled(name).__getitem__
    if not isinstance(kind, NumberFeature):
        return spelled
    low = kind.min
    # Position within the declared range, 0 to 1. A number's values are floats; anything else is spelled.
    if kind.scale == "log":
        reach = math.log1p(kind.max - low)
        return lambda value: (name, math.log1p(value - low) / reach) if isinstance(value, float) else spelled(value)
    span = kind.max - low
    return lambda value: (name, (value - low) / span) if isinstance(value, float) else spelled(value)
