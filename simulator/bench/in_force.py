"""What is in force in the second profile, beside who scores: prices, caps and budgets, pins, and shares of the arms."""

import re
from datetime import datetime, timedelta
from typing import Final

from cxi_bandit.domain.decision import HOLD
from cxi_bandit.domain.override import Override
from cxi_bandit.policy.manifest import Manifest

SHARE: Final = 0.1
"""Of the shoppers that no arm before took."""

_PINS: Final = 3
_PRICED: Final = re.compile(r'^id = "(?!hold")', re.MULTILINE)
_PRICE: Final = 'price = 0.01\nbudget_per_day = 1000000.0\nid = "'
_LIMITS: Final = """
[limits]
exploration_cost_per_day = 1000000.0
[[limits.caps]]
most = 1000
seconds = 86400.0
"""


def limited(text: str) -> str:
    """A manifest's text with a price, a budget and a cap for every intervention: asked about, and never used up."""
    return _PRICED.sub(_PRICE, text) + _LIMITS


def pins(manifest: Manifest, now: datetime) -> list[Override]:
    """Some that are in force and about nobody who asks: each is looked at, and none chooses."""
    return [
        Override(
            override_id=number,
            policy=manifest.policy,
            intervention=HOLD,
            segment={"nobody": f"segment-{number}"},
            author="bench",
            reason="it is to be looked at",
            made_at=now,
            expires_at=now + timedelta(days=1),
        )
        for number in range(1, 1 + _PINS)
    ]
