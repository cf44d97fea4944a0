"""Attribute: events that name only the shopper or the order reach decisions, by the rules of the manifests.

What is found is written into the ledger as credits, at positions of their own, and outcomes are settled from those.
So an outcome stays a function of the ledger up to its cut, although a decision that commits late may yet change who has
an event: then new credits are appended. Every decision that closes has the events looked at again that it may have, and
every event that is sequenced those that depend on it; whichever comes last, the end is the same.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from cxi_bandit.domain.attribution import Candidate, Credit
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.outcome import Window
from cxi_bandit.domain.reward import RewardEvent, RewardKey
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Addresses, Crediting, Sighting
from cxi_bandit.policy.attribution import attributable, shared
from cxi_bandit.policy.manifest import Manifest

MOST_CANDIDATES: Final = 100
"""So many decisions of a shopper, the latest before an event, may share it. A key of more is rarely one person's."""

MOST_EVENTS: Final = 100
"""Of an order. What names an order of more alone goes to nobody: it is no order's number, but what stands for none."""

Shares = dict[DecisionId, int]
_Events = Mapping[RewardKey, RewardEvent]


def attribute(
    addresses: Crediting, manifests: Manifests, taken: Collection[RewardEvent], closing: Collection[Window]
) -> set[DecisionId]:
    """Brings the credits up to date with events just sequenced and decisions about to close.

    Returns:
        The decisions that have an event now that they had not, or have it no more, or have another part of it.
    """
    events = _affected(addresses, manifests, taken, closing)
    if not events:
        return set()
    wanted = resolve(events, addresses, manifests)
    held = addresses.credits(wanted.keys())
    changes = [
        Credit(reward=key, decision_id=name, parts=shares.get(name, 0))
        for key, shares in sorted(wanted.items())
        for name in sorted(shares.keys() | held.get(key, {}).keys())
        if shares.get(name, 0) != held.get(key, {}).get(name, 0)
    ]
    addresses.credit(changes)
    return {change.decision_id for change in changes}


def _affected(
    addresses: Crediting, manifests: Manifests, taken: Collection[RewardEvent], closing: Collection[Window]
) -> list[RewardEvent]:
    """The events without decision whose attribution may be another one now."""
    found = {event.key: event for event in taken if event.subject is not None or event.order is not None}
    spans: dict[bytes, tuple[datetime, datetime]] = {}
    for row in closing:
        if row.subject is not None:
            since, until = spans.get(row.subject, (row.decided_at, row.closes_at))
            spans[row.subject] = (min(since, row.decided_at), max(until, row.closes_at))
    if spans:
        found |= _by_key(addresses.naming_shoppers(spans))
    if accepting := [row.decision_id for row in closing if manifests.by_sha(row.manifest_sha).reward.attribution]:
        found |= _by_key(addresses.linking(accepting))
    if not found:
        return []
    named = Counter(event.order for event in taken if event.order is not None and event.amends is None)
    orders = named.keys() | {event.order for event in found.values() if event.order is not None and event.links}
    if orders:
        # An order that grows beyond the bound in this pass is here whole, once more, for its events to lose what they
        # had. One that had grown beyond it before is absent, and stays as it is.
        about = addresses.naming_orders({order: MOST_EVENTS + named[order] for order in orders})
        found |= {event.key: event for events in about.values() for event in events if not event.links}
    found |= _by_key(addresses.amendments(found.keys()))
    return [event for event in found.values() if event.decision_id is None]


def resolve(
    events: Collection[RewardEvent], addresses: Addresses, manifests: Manifests, beside: Collection[RewardEvent] = ()
) -> dict[RewardKey, Shares]:
    """Who has each of `events`, none of which names a decision: a pure function of the log and of the ledger.

    An event that names the shopper goes to decisions of that shopper, one that names only the order to those decisions
    that have an event which ties the order to them. An amendment goes wherever the event does that it amends.

    Args:
        events: Need not be in the ledger yet.
        beside: Other events to take into account that need not be in the ledger yet.
    """
    known = _by_key(event for event in beside if event.order is not None or event.subject is not None)
    known |= _by_key(events)
    targets = [event.amends for event in events if event.amends is not None]
    known = known | _by_key(addresses.amended(targets)) if targets else known
    sources = {event.key: _source(event, known) for event in events}
    originals = {event.key: event for event in sources.values() if event is not None}
    orders = {event.order for event in originals.values() if event.order is not None and not event.links}
    links = {event.key: event for event in beside if event.links and event.order in orders}
    if orders:
        about = addresses.naming_orders(dict.fromkeys(orders, MOST_EVENTS))
        links |= {event.key: event for events in about.values() for event in events if event.links}
    shares = _shares_of_shoppers([*originals.values(), *links.values()], addresses, manifests)
    shares |= _shares_of_named(originals.values(), addresses, manifests)
    shares |= _shares_of_orders(originals.values(), links.values(), shares, addresses, manifests)
    return {key: {} if event is None else shares.get(event.key, {}) for key, event in sources.items()}


def _source(event: RewardEvent, known: _Events) -> RewardEvent | None:
    """The event that an amendment ends at: the original, or the first above it that names its decision."""
    seen = set()
    while event.amends is not None and event.decision_id is None:
        above = known.get(event.amends)
        if above is None or event.key in seen:
            return None
        seen.add(event.key)
        event = above
    return event


def _shares_of_shoppers(
    events: Iterable[RewardEvent], addresses: Addresses, manifests: Manifests
) -> dict[RewardKey, Shares]:
    seen = {event.key: (event, Sighting(event.subject, event.occurred_at)) for event in events if event.subject}
    if not seen:
        return {}
    found = addresses.decisions_of({sighting for _, sighting in seen.values()}, MOST_CANDIDATES)
    return {
        key: shared(event, _with_manifests(found.get(sighting, ()), manifests))
        for key, (event, sighting) in seen.items()
    }


def _shares_of_named(
    events: Iterable[RewardEvent], addresses: Addresses, manifests: Manifests
) -> dict[RewardKey, Shares]:
    """What names its decision is had whole; amendments that do not may follow it there, if the policy allows."""
    named = {event.key: (event, event.decision_id) for event in events if event.decision_id is not None}
    if not named:
        return {}
    found = addresses.candidates({name for _, name in named.values()})
    return {
        key: {name: 1}
        for key, (event, name) in named.items()
        if name in found and attributable(manifests.by_sha(found[name].manifest_sha), event.metric)
    }


def _shares_of_orders(
    events: Iterable[RewardEvent],
    links: Iterable[RewardEvent],
    shares: Mapping[RewardKey, Shares],
    addresses: Addresses,
    manifests: Manifests,
) -> dict[RewardKey, Shares]:
    tied: dict[bytes, set[DecisionId]] = {}
    for link in links:
        if link.order is not None:
            own = shares.get(link.key, {}) if link.decision_id is None else {link.decision_id}
            tied.setdefault(link.order, set()).update(own)
    if not tied:
        return {}
    found = addresses.candidates({name for names in tied.values() for name in names})
    shared_out = {}
    for event in events:
        if event.order is not None and event.decision_id is None and event.subject is None:
            candidates = [found[name] for name in tied.get(event.order, ()) if name in found]
            shared_out[event.key] = shared(event, _with_manifests(candidates, manifests))
    return shared_out


def _with_manifests(candidates: Iterable[Candidate], manifests: Manifests) -> list[tuple[Candidate, Manifest]]:
    return [(candidate, manifests.by_sha(candidate.manifest_sha)) for candidate in candidates]


def _by_key(events: Iterable[RewardEvent]) -> dict[RewardKey, RewardEvent]:
    return {event.key: event for event in events}
