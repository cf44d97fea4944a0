"""What is asked in a benchmark: distinct requests within the benchmark policy's ranges, seeded."""

import json
import random
from datetime import datetime
from typing import Any, Final

DISTINCT: Final = 10_000
_OFFERED: Final = (
    "price_match",
    "discount",
    "free_shipping",
    "fast_delivery",
    "alternatives",
    "guide",
    "chat",
)


def decision(seeded: random.Random, *, features: bool) -> dict[str, Any]:
    """One request; with `features` it brings four features for each of its interventions."""
    asked: dict[str, Any] = {
        "surface": "detail_page",
        "subject": f"shopper-{seeded.randrange(100_000)}",
        "defect": {
            "type": "price_jump",
            "severity": round(seeded.random(), 3),
            "confidence": round(seeded.random(), 3),
        },
        "context": {
            "device": seeded.choice(["mobile", "desktop", "tablet", "app"]),
            "tier": seeded.choice(["none", "silver", "gold"]),
            "returning": seeded.random() < 0.5,  # noqa: PLR2004 - an even coin
            "cart_value": round(seeded.uniform(0, 2000), 2),
            "price": round(seeded.uniform(0, 2000), 2),
            "hour": seeded.randrange(24),
            "visits": seeded.randrange(200),
        },
    }
    if features:
        asked["interventions"] = [
            {
                "id": name,
                "features": {
                    "kind": "price",
                    "intrusiveness": round(seeded.random(), 2),
                    "generosity": round(seeded.random(), 2),
                    "delay": round(seeded.random(), 2),
                },
            }
            for name in _OFFERED
        ]
    return asked


def decisions(seed: int, *, features: bool) -> list[str]:
    """Bodies of `POST /v1/decisions`."""
    seeded = random.Random(seed)
    return [json.dumps(decision(seeded, features=features)) for _ in range(DISTINCT)]


def batches(seed: int, size: int) -> list[str]:
    """Bodies of `POST /v1/decisions/batch` that hold `DISTINCT` decisions in all."""
    seeded = random.Random(seed)
    return [
        json.dumps({"decisions": [decision(seeded, features=False) for _ in range(size)]})
        for _ in range(DISTINCT // size)
    ]


def rewards(seed: int, decision_ids: list[str], size: int, occurred_at: datetime, lists: int) -> list[str]:
    """Bodies of `POST /v1/rewards`: lists of `size` new events about decisions that stand in the log."""
    seeded = random.Random(seed)
    return [
        json.dumps(
            [
                {
                    "decision_id": seeded.choice(decision_ids),
                    "reward_id": f"b{seeded.getrandbits(96):x}",
                    "metric": "purchase",
                    "value": float(seeded.random() < 0.1),  # noqa: PLR2004 - one in ten buys
                    "occurred_at": occurred_at.isoformat(),
                }
                for _ in range(size)
            ]
        )
        for _ in range(lists)
    ]
