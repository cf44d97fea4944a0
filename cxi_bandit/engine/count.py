"""Count: decisions as they come and windows as they close go into the tallies, a piece at a time."""

from datetime import datetime, timedelta
from typing import Final

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.ports import Registry, Tallies

MINUTES_KEPT: Final = timedelta(days=2)
"""For so long tallies are kept by minute; by hour and day for ever."""
SETTLED: Final = timedelta(seconds=10)
"""A decision is counted as it came so long after it was made: its commit has had its time."""
PIECE: Final = 2000
"""So much of each kind is counted at once, unless asked otherwise: where less is counted in all, nothing waits."""


def count(registry: Registry, tallies: Tallies, now: datetime, limit: int = PIECE) -> int:
    """Counts up to `limit` decisions, and up to `limit` outcome positions of each policy; how many of all.

    Exactly once, by whoever and in however many processes: each piece is a transaction that moves the mark it began at.
    """
    minutes_since = now - MINUTES_KEPT
    counted = tallies.count_decided(now - SETTLED, minutes_since, limit)
    return counted + sum(tallies.count_closed(policy, minutes_since, limit) for policy in policies(registry))


def policies(registry: Registry) -> list[PolicyName]:
    """All that were ever installed."""
    return sorted({version.policy for version in registry.versions()})
