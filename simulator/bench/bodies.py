"""What is asked in a benchmark: distinct requests within a manifest's ranges, seeded."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from cxi_bandit.domain.decision import HOLD, Features, FeatureValue
from cxi_bandit.policy.manifest import CategoryFeature, FeatureType, FlagFeature, Manifest, Schema

DISTINCT: Final = 10_000
_SHOPPERS: Final = 100_000
_EVEN: Final = 0.5
_BUYS: Final = 0.1
_WORDS: Final = 1000


def decision(seeded: random.Random, manifest: Manifest, *, features: bool) -> dict[str, Any]:
    """One request; with `features` it brings the features of every intervention but `hold`."""
    asked: dict[str, Any] = {
        "surface": manifest.surface,
        "subject": f"shopper-{seeded.randrange(_SHOPPERS)}",
        "defect": {
            "type": seeded.choice(list(manifest.defects)),
            "severity": round(seeded.random(), 3),
            "confidence": round(seeded.random(), 3),
        },
        "context": drawn(seeded, manifest.context),
    }
    if features:
        offered = [name for name in manifest.catalogue if name != HOLD]
        asked["interventions"] = [
            {"id": name, "features": drawn(seeded, manifest.intervention_features)} for name in offered
        ]
    return asked


def drawn(seeded: random.Random, schema: Schema) -> Features:
    """A value for each feature."""
    return {name: _value(seeded, kind) for name, kind in schema.features.items()}


def decisions(seed: int, manifests: Sequence[Manifest], *, features: bool) -> list[str]:
    """`DISTINCT` bodies of `POST /v1/decisions`, of the manifests in turn."""
    return [json.dumps(one) for one in _asked(seed, manifests, DISTINCT, features=features)]


def batches(seed: int, manifest: Manifest, size: int) -> list[str]:
    """Bodies of `POST /v1/decisions/batch` that hold `DISTINCT` decisions in all."""
    asked = list(_asked(seed, [manifest], DISTINCT, features=False))
    return [json.dumps({"decisions": asked[start : start + size]}) for start in range(0, len(asked), size)]


def rewards(decision_ids: Sequence[str], size: int, occurred_at: datetime, lists: int, seed: int) -> list[str]:
    """Bodies of `POST /v1/rewards`: lists of `size` new events, about the decisions in turn.

    Args:
        seed: Another seed gives other events; the same, events that were sent before.
    """
    seeded = random.Random(seed)
    at, made = occurred_at.isoformat(), []
    for number in range(lists):
        about = (decision_ids[(number * size + place) % len(decision_ids)] for place in range(size))
        made.append(
            json.dumps(
                [
                    {
                        "decision_id": one,
                        "reward_id": f"{seed:x}-{seeded.getrandbits(64):016x}",
                        "metric": "purchase",
                        "value": float(seeded.random() < _BUYS),
                        "occurred_at": at,
                    }
                    for one in about
                ]
            )
        )
    return made


def _asked(seed: int, manifests: Sequence[Manifest], number: int, *, features: bool) -> Iterator[dict[str, Any]]:
    seeded = random.Random(seed)
    for turn in range(number):
        yield decision(seeded, manifests[turn % len(manifests)], features=features)


def _value(seeded: random.Random, kind: FeatureType) -> FeatureValue:
    if isinstance(kind, CategoryFeature):
        return seeded.choice(kind.values) if kind.values else f"word-{seeded.randrange(_WORDS)}"
    if isinstance(kind, FlagFeature):
        return seeded.random() < _EVEN
    return round(seeded.uniform(kind.min, kind.max), 2)
