"""Addressed reward events in memory: by shopper, by order, by what they amend, and which decisions have them."""

from bisect import insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.attribution import Candidate, Credit
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardKey
from cxi_bandit.engine.ports import Sighting

_EVER: Final = 1 << 63

_Changes = list[tuple[int, int]]
"""The positions from which on a decision has one of so many parts of an event."""


class AddressBook:
    """Every event that names a shopper or an order, every shopper's decisions, and the credits between them."""

    def __init__(
        self,
        decisions: Mapping[DecisionId, Decision],
        activated: Mapping[DecisionId, datetime],
        set_aside: Collection[DecisionId],
    ) -> None:
        self.decisions = decisions
        self.activated = activated
        self.set_aside = set_aside
        self.shoppers: dict[bytes, list[DecisionId]] = {}
        self.entries: dict[RewardKey, LedgerEntry] = {}
        self.sequenced: set[RewardKey] = set()
        self.by_subject: dict[bytes, dict[RewardKey, RewardEvent]] = {}
        self.by_order: dict[bytes, dict[RewardKey, RewardEvent]] = {}
        self.by_decision: dict[DecisionId, dict[RewardKey, RewardEvent]] = {}
        self.below: dict[RewardKey, dict[RewardKey, RewardEvent]] = {}
        self.holders: dict[RewardKey, dict[DecisionId, _Changes]] = {}
        self.held: dict[DecisionId, dict[RewardKey, _Changes]] = {}  # the same, by decision

    def logged(self, decision: Decision) -> None:
        """A decision is new in the log."""
        if decision.subject is not None:
            insort(self.shoppers.setdefault(decision.subject, []), decision.decision_id)

    def reported(self, entry: LedgerEntry) -> None:
        """An event is new in the ledger."""
        event = entry.event
        if event.subject is None and event.order is None:
            return
        self.entries[event.key] = entry
        for shelf in self._shelves(event):
            shelf[event.key] = event

    def placed(self, entry: LedgerEntry) -> None:
        """An event has its ledger position."""
        if entry.event.key in self.entries:
            self.entries[entry.event.key] = entry
            self.sequenced.add(entry.event.key)

    def credited(self, position: int, change: Credit) -> None:
        """A credit is in the ledger."""
        changes = self.holders.setdefault(change.reward, {}).setdefault(change.decision_id, [])
        changes.append((position, change.parts))
        self.held.setdefault(change.decision_id, {})[change.reward] = changes

    def ever_credited(self, decision: DecisionId) -> list[LedgerEntry]:
        """The entries that a decision has or had by credits, each at the position from which on it first had it."""
        found = []
        for key, changes in self.held.get(decision, {}).items():
            first = next((position for position, parts in changes if parts), None)
            if first is not None:
                found.append(msgspec.structs.replace(self.entries[key], position=first))
        return found

    def entries_of(self, decision: DecisionId, ledger_cut: int = _EVER) -> list[LedgerEntry]:
        """The entries credited to a decision, as known at a ledger position."""
        found = []
        for key, changes in self.held.get(decision, {}).items():
            known = [change for change in changes if change[0] <= ledger_cut]
            if known and known[-1][1]:
                position, parts = known[-1]
                found.append(msgspec.structs.replace(self.entries[key], position=position, parts=parts))
        return found

    def forget(self, decision: DecisionId) -> None:
        """A decision is erased, and with it the events that name it."""
        row = self.decisions.get(decision)
        if row is not None and row.subject is not None:
            self.shoppers[row.subject] = [name for name in self.shoppers[row.subject] if name != decision]
        for key in self.held.pop(decision, {}):
            del self.holders[key][decision]
        self._remove([entry.event for entry in self.entries.values() if entry.event.decision_id == decision])

    def untie(self, decisions: Collection[DecisionId]) -> set[RewardKey]:
        """Removes what names nothing but an order that only the rewards of these decisions tied, and no other had."""
        links = [entry.event for entry in self.entries.values() if entry.event.links]
        others = {event.order for event in links if event.decision_id not in decisions}
        orders = {event.order for event in links if event.decision_id in decisions} - others
        alone = [event for event in self._naming_nothing_but_orders() if event.order in orders]
        gone = [event for event in alone if self.holders.get(event.key, {}).keys() <= set(decisions)]
        self._remove(gone)
        return {event.key for event in gone}

    def forget_shopper(self, subject: bytes, at: datetime) -> tuple[set[RewardKey], int]:
        """See the port; the keys of what went, and how many credits did."""
        own = set(self.shoppers.get(subject, ()))
        links = [entry.event for entry in self.entries.values() if entry.event.links]
        orders = {event.order for event in links if event.subject == subject or event.decision_id in own}
        found = [entry.event for entry in self.entries.values() if entry.event.subject == subject]
        found += [event for event in self._naming_nothing_but_orders() if event.order in orders]
        gone = [
            event
            for event in found
            if self.entries[event.key].received_at <= at and self.holders.get(event.key, {}).keys() <= own
        ]
        credited = sum(len(changes) for event in gone for changes in self.holders.get(event.key, {}).values())
        self._remove(gone)
        return {event.key for event in gone}, credited

    def _naming_nothing_but_orders(self) -> list[RewardEvent]:
        events = [entry.event for entry in self.entries.values()]
        return [event for event in events if event.decision_id is None and event.subject is None]

    def _remove(self, events: Iterable[RewardEvent]) -> None:
        for event in events:
            del self.entries[event.key]
            for decision in self.holders.pop(event.key, {}):
                del self.held[decision][event.key]
            self.sequenced.discard(event.key)
            for shelf in self._shelves(event):
                shelf.pop(event.key, None)

    def _shelves(self, event: RewardEvent) -> list[dict[RewardKey, RewardEvent]]:
        """Where it is looked up beside its own key: an amendment only by what it amends."""
        if event.amends is not None:
            return [self.below.setdefault(event.amends, {})] if event.decision_id is None else []
        shelves = []
        if event.subject is not None:
            shelves.append(self.by_subject.setdefault(event.subject, {}))
        if event.order is not None:
            shelves.append(self.by_order.setdefault(event.order, {}))
        if event.decision_id is not None:
            shelves.append(self.by_decision.setdefault(event.decision_id, {}))
        return shelves


class MemoryAddresses:
    """Addresses over an address book.

    Args:
        seen: Which events are looked at.
    """

    def __init__(self, book: AddressBook, seen: Callable[[RewardKey], bool]) -> None:
        self._book = book
        self._seen = seen

    def decisions_of(self, sightings: Collection[Sighting], most: int) -> dict[Sighting, list[Candidate]]:
        """See the port."""
        found = {}
        for sighting in sightings:
            names = reversed(self._book.shoppers.get(sighting.subject, []))
            rows = [self._book.decisions[name] for name in names if name not in self._book.set_aside]
            holding = [row for row in rows if row.decided_at <= sighting.at <= row.closes_at][:most]
            if holding:
                found[sighting] = [self._candidate(row) for row in holding]
        return found

    def candidates(self, decisions: Collection[DecisionId]) -> dict[DecisionId, Candidate]:
        """See the port."""
        known = self._book.decisions
        return {name: self._candidate(known[name]) for name in decisions if name in known}

    def naming_shoppers(self, spans: Mapping[bytes, tuple[datetime, datetime]]) -> list[RewardEvent]:
        """See the port."""
        named = [(span, self._book.by_subject.get(subject, {})) for subject, span in spans.items()]
        return self._among(
            event
            for (since, until), events in named
            for event in events.values()
            if since <= event.occurred_at <= until
        )

    def naming_orders(self, most: Mapping[bytes, int]) -> dict[bytes, list[RewardEvent]]:
        """See the port."""
        found = {order: self._among(self._book.by_order.get(order, {}).values()) for order in most}
        return {order: events for order, events in found.items() if 0 < len(events) <= most[order]}

    def linking(self, decisions: Collection[DecisionId]) -> list[RewardEvent]:
        """See the port."""
        return self._among(event for name in decisions for event in self._book.by_decision.get(name, {}).values())

    def amended(self, rewards: Collection[RewardKey]) -> list[RewardEvent]:
        """See the port."""
        found: dict[RewardKey, RewardEvent] = {}
        asked = list(rewards)
        for key in asked:
            entry = self._book.entries.get(key)
            if entry is None or key in found:
                continue
            found[key] = event = entry.event
            if event.decision_id is None and event.amends is not None:
                asked.append(event.amends)
        return self._among(found.values())

    def amendments(self, rewards: Collection[RewardKey]) -> list[RewardEvent]:
        """See the port."""
        found: dict[RewardKey, RewardEvent] = {}
        asked = list(rewards)
        for key in asked:
            new = {name: event for name, event in self._book.below.get(key, {}).items() if name not in found}
            found |= new
            asked.extend(new)
        return self._among(found.values())

    def _among(self, events: Iterable[RewardEvent]) -> list[RewardEvent]:
        return [event for event in events if self._seen(event.key)]

    def _candidate(self, row: Decision) -> Candidate:
        shown = self._book.activated.get(row.decision_id)
        return Candidate(
            decision_id=row.decision_id,
            policy=row.policy,
            manifest_sha=row.manifest_sha,
            decided_at=row.decided_at,
            closes_at=row.closes_at,
            activated=shown is not None and shown <= row.closes_at,
        )


class MemoryCrediting(MemoryAddresses):
    """Crediting within a pass: reads what stands and what the pass has done, remembers what to change."""

    def __init__(self, book: AddressBook, taken: Collection[RewardKey], next_position: Callable[[], int]) -> None:
        super().__init__(book, lambda key: key in book.sequenced or key in taken)
        self._next_position = next_position
        self._by_decision: dict[DecisionId, dict[RewardKey, tuple[int, int]]] = {}
        self.changes: list[tuple[int, Credit]] = []

    def credits(self, rewards: Collection[RewardKey]) -> dict[RewardKey, dict[DecisionId, int]]:
        """See the port."""
        asked = set(rewards)
        found = {
            key: {name: changes[-1][1] for name, changes in self._book.holders.get(key, {}).items()} for key in asked
        }
        for _, change in self.changes:
            if change.reward in asked:
                found[change.reward][change.decision_id] = change.parts
        standing = {key: {name: parts for name, parts in names.items() if parts} for key, names in found.items()}
        return {key: names for key, names in standing.items() if names}

    def credit(self, changes: Sequence[Credit]) -> None:
        """See the port."""
        positions: dict[RewardKey, int] = {}
        for change in changes:
            if change.reward not in positions:
                positions[change.reward] = self._next_position()
            position = positions[change.reward]
            self.changes.append((position, change))
            self._by_decision.setdefault(change.decision_id, {})[change.reward] = (position, change.parts)

    def entries_of(self, decision: DecisionId) -> list[LedgerEntry]:
        """The entries credited to a decision, those of this pass too."""
        found = {entry.event.key: entry for entry in self._book.entries_of(decision)}
        for key, (position, parts) in self._by_decision.get(decision, {}).items():
            found.pop(key, None)
            if parts:
                found[key] = msgspec.structs.replace(self._book.entries[key], position=position, parts=parts)
        return list(found.values())
