"""Open attribution windows in memory, by when they end."""

import heapq
from collections.abc import Collection
from datetime import datetime

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.outcome import OutcomeStanding, Window
from cxi_bandit.engine.ports import OpenWindow


class OpenWindows:
    """Decisions whose attribution window is not closed, by when it ends."""

    def __init__(self) -> None:
        self._by_close: list[tuple[datetime, DecisionId]] = []
        self._open: dict[DecisionId, Decision] = {}
        self.activated: dict[DecisionId, datetime] = {}
        self.set_aside: dict[DecisionId, OutcomeStanding] = {}
        self._seen_after_all: set[DecisionId] = set()

    def opened(self, decision: Decision) -> None:
        """A decision was logged."""
        self._open[decision.decision_id] = decision
        heapq.heappush(self._by_close, (decision.closes_at, decision.decision_id))

    def closed(self, decision: DecisionId) -> None:
        """Its first outcome was appended."""
        self._open.pop(decision, None)
        while self._by_close and self._by_close[0][1] not in self._open:
            heapq.heappop(self._by_close)

    def erased(self, decision: DecisionId) -> None:
        """Nothing is kept of it."""
        self.closed(decision)
        self.activated.pop(decision, None)
        self.set_aside.pop(decision, None)
        self._seen_after_all.discard(decision)

    def abandoned(self, decision: DecisionId) -> None:
        """Nobody was told of it in time."""
        if decision not in self._seen_after_all:
            self.set_aside.setdefault(decision, OutcomeStanding.ABANDONED)

    def answered(self, decision: DecisionId) -> None:
        """Somebody was told of it, if only later."""
        self._seen_after_all.add(decision)
        if self.set_aside.get(decision) is OutcomeStanding.ABANDONED:
            del self.set_aside[decision]

    def matured(self, before: datetime, limit: int) -> list[OpenWindow]:
        """See the port."""
        due: list[tuple[datetime, DecisionId]] = []
        taken: list[tuple[datetime, DecisionId]] = []
        while self._by_close and len(due) < limit and self._by_close[0][0] <= before:
            taken.append(heapq.heappop(self._by_close))
            if taken[-1][1] in self._open:
                due.append(taken[-1])
        for entry in taken:
            heapq.heappush(self._by_close, entry)
        return [self._seen(name) for _, name in due]

    def among(self, decisions: Collection[DecisionId]) -> list[OpenWindow]:
        """Those of `decisions` still open, in decision order."""
        return [self._seen(name) for name in sorted(decisions) if name in self._open]

    def _seen(self, decision: DecisionId) -> OpenWindow:
        seen = self._open[decision]
        shown = self.activated.get(decision)
        return OpenWindow(Window.of(seen), shown is not None and shown <= seen.closes_at, self.set_aside.get(decision))
