"""What the loop ought to come to, told in the simplest words there are, and without a line of the product's own code.

Everything is kept in lists and looked through from the start; nothing is incremental, so nothing can drift.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.faults.rolled import ROLLOUT, Rolled

HORIZON = timedelta(seconds=60)
COLD_OUTCOMES = 3
COSTS = {"hold": 0.0, "discount": 0.25, "free_shipping": 0.125}

MANIFEST = f"""
format = 1
name = "loop"
surface = "cart"
[defects.coupon_failure]
[context.features.cart_value]
type = "number"
min = 0.0
max = 500.0
[[interventions]]
id = "hold"
[[interventions]]
id = "discount"
cost = {COSTS["discount"]}
[[interventions]]
id = "free_shipping"
cost = {COSTS["free_shipping"]}
[reward]
horizon_seconds = {HORIZON.total_seconds()}
min = -1.0
max = 1.0
[reward.metrics.purchase]
weight = 1.0
min = 0.0
max = 1.0
aggregate = "max"
[reward.metrics.complaint]
weight = -0.5
min = 0.0
max = 2.0
aggregate = "sum"
[exploration.cold_start]
outcomes = {COLD_OUTCOMES}
[learning]
bits = 10
segment_outcomes = 4
publish_seconds = 0.0
{ROLLOUT}"""
SECOND = MANIFEST.replace("[learning]", '[learning]\nupdates = "gated"')
"""Another version of the policy, which serves what is promoted and nothing it learns."""

RANGES = {"purchase": (0.0, 1.0), "complaint": (0.0, 2.0)}


@dataclass(frozen=True)
class Event:
    """A reward event as its sender wrote it."""

    name: str
    decision: UUID
    metric: str
    value: float | None
    occurred_at: datetime
    corrects: str | None = None
    retracts: str | None = None

    @property
    def in_range(self) -> bool:
        """Whether its policy allows the value; a retraction has none."""
        low, high = RANGES[self.metric]
        return self.value is None or low <= self.value <= high


@dataclass
class Known:
    """A decision that was acknowledged, and what became of it."""

    decision: Any
    erasure: int | None = None
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """An outcome: the reward, each metric, how many events counted."""

    reward: float
    metrics: dict[str, float]
    counted: int


class Truth:
    """Decisions, events and the log of outcomes, as they must be."""

    def __init__(self) -> None:
        self.known: dict[UUID, Known] = {}
        self.keys: dict[str, tuple[bytes, UUID]] = {}
        self.events: dict[str, Event] = {}
        self.waiting: list[Event] = []
        self.log: list[UUID] = []
        self.expected: dict[UUID, Expected] = {}
        self.erasures = 0
        self.learned_total = 0
        self.learned_up_to = 0
        self.rolled = Rolled()
        self.teaches: dict[UUID, bool] = {}

    def drawn(self, decision: Any, cart: float) -> None:
        """A decision that was made, to be committed now, later or never."""
        self.teaches[decision.decision_id] = self.rolled.check(decision, cart)

    def stands(self, key: str | None, body: bytes, decision: Any) -> UUID | None:
        """The decision that an append must be answered with; None for a conflict. It is acknowledged from now on."""
        if key is not None:
            first_body, first = self.keys.setdefault(key, (body, decision.decision_id))
            if first_body != body:
                return None
            if first != decision.decision_id:
                return first
        self.known[decision.decision_id] = Known(decision)
        return decision.decision_id

    def deliver(self, event: Event) -> str:
        """The status with which a delivery must be answered."""
        if event.name in self.events:
            return "duplicate" if self.events[event.name] == event else "conflict"
        self.events[event.name] = event
        self.waiting.append(event)
        known = self.known.get(event.decision)
        if known is None or known.erasure is not None:
            return "parked"
        return "accepted" if event.in_range else "quarantined"

    def forget(self, decision: UUID) -> None:
        """An erasure."""
        self.erasures += 1
        self.known[decision].erasure = self.erasures
        self.waiting = [event for event in self.waiting if event.decision != decision]
        self.keys = {key: value for key, value in self.keys.items() if value[1] != decision}

    def sequence(self, now: datetime) -> None:
        """A pass: every waiting event counts, what it changes is revised, every window that ended is closed."""
        arrived, self.waiting = self.waiting, []
        by_decision: dict[UUID, list[Event]] = {}
        for event in self.events.values():
            by_decision.setdefault(event.decision, []).append(event)
        touched = {event.decision for event in arrived}
        for name, known in self.known.items():
            known.events = by_decision.get(name, [])
        present = {name: known for name, known in self.known.items() if known.erasure is None}
        for name in sorted(touched & self.expected.keys() & present.keys()):
            outcome = settled(present[name])
            if outcome != self.expected[name]:
                self._append(name, outcome)
        due = [(known.decision.decided_at + HORIZON, name) for name, known in present.items()]
        for closes_at, name in sorted(due):
            if closes_at <= now and name not in self.expected:
                self._append(name, settled(present[name]))

    def _append(self, name: UUID, outcome: Expected) -> None:
        self.log.append(name)
        self.expected[name] = outcome

    def first_closes(self, up_to: int, after: int = 0) -> list[UUID]:
        """Decisions whose first close is at one of these positions, erased ones too."""
        return [name for at, name in enumerate(self.log[:up_to]) if at >= after and name not in self.log[:at]]

    def positions(self, decision: UUID) -> list[int]:
        """Where a decision's outcome stands in the log."""
        return [at for at, name in enumerate(self.log, 1) if name == decision]

    def learn(self) -> None:
        """Everything closed since is learned; what was erased meanwhile cannot be."""
        fresh = self.first_closes(len(self.log), self.learned_up_to)
        self.learned_total += self._taught(fresh)
        self.learned_up_to = len(self.log)

    def rebuild(self) -> None:
        """All of it is learned again, without what has been erased by now."""
        names = self.first_closes(self.learned_up_to)
        self.learned_total = self._taught(names)

    def _taught(self, names: list[UUID]) -> int:
        return sum(self.known[name].erasure is None and self.teaches[name] for name in names)


def settled(known: Known) -> Expected:
    """The outcome of a decision by the events about it: those that occurred in its window, as amended."""
    decided_at = known.decision.decided_at
    values: dict[str, list[float]] = {}
    for event in known.events:
        if event.corrects or event.retracts or not decided_at <= event.occurred_at <= decided_at + HORIZON:
            continue
        standing = _standing(event, known.events)
        if standing is not None and standing.in_range:
            values.setdefault(event.metric, []).append(standing.value or 0.0)
    metrics = {name: max(found) if name == "purchase" else sum(found) for name, found in sorted(values.items())}
    gross = metrics.get("purchase", 0.0) - 0.5 * metrics.get("complaint", 0.0)
    reward = min(max(gross - COSTS[known.decision.intervention], -1.0), 1.0)
    return Expected(reward, metrics, sum(map(len, values.values())))


def _standing(event: Event, events: list[Event]) -> Event | None:
    """The event as its amendments, themselves amended perhaps, leave it; None once retracted."""
    amendments = [other for other in events if event.name in (other.corrects, other.retracts)]
    for amendment in sorted(amendments, key=lambda other: (other.occurred_at, other.name), reverse=True):
        as_amended = _standing(amendment, events)
        if as_amended is None:
            continue
        if amendment.retracts is not None:
            return None
        if amendment.metric == event.metric and as_amended.in_range:
            return replace(event, value=as_amended.value)
    return event
