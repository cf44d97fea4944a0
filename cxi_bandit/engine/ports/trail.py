"""The audit trail as people read it."""

from typing import Protocol

from cxi_bandit.domain.release import AuditLine


class Trail(Protocol):
    """Who did what, when. Append-only: lines are written by the ports that do things, in the same transaction."""

    def page(self, before: int | None, limit: int) -> list[AuditLine]:
        """Up to `limit` lines, newest first: those with a number below `before`, or the newest of all."""
        ...
