"""Quarantine: what was kept and not counted is listed, and released or discarded by new rows of the ledger.

The manifest alone judges an event, so nothing in the ledger can be declared right: a release corrects the event to a
value that its metric allows, a discard takes it back. Both name the event's own source, as every amendment must.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import InvalidInput, NotFound, Unavailable
from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.quarantine import OPERATOR_PREFIX, Quarantined, QuarantinePage, QuarantineState
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardStatus
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import DecisionLog, RewardLedger
from cxi_bandit.policy.manifest import Metric
from cxi_bandit.policy.settlement import quarantine_reason, standing_value

_CHUNK: Final = 500
_ATTEMPTS: Final = 5


def quarantined(
    decisions: DecisionLog,
    ledger: RewardLedger,
    manifests: Manifests,
    *,
    source: Source | None = None,
    metric: str | None = None,
    reward_id: RewardId | None = None,
) -> Iterator[Quarantined]:
    """Every event whose sender was told that it is quarantined, in order of receipt, with what stands for it now."""
    after = 0
    while chunk := ledger.quarantine(after, _CHUNK, source=source, metric=metric, reward_id=reward_id):
        yield from _all_judged(chunk, decisions, ledger, manifests)
        after = chunk[-1][0]


def quarantine_page(
    after: int,
    limit: int,
    decisions: DecisionLog,
    ledger: RewardLedger,
    manifests: Manifests,
    fits: Callable[[Quarantined], bool],
) -> QuarantinePage:
    """Up to `limit` of those that fit, among the next few hundred after a number: so no page takes long."""
    found: list[Quarantined] = []
    chunk = ledger.quarantine(after, _CHUNK)
    last = chunk[-1][0] if chunk else after
    for reward in _all_judged(chunk, decisions, ledger, manifests):
        if fits(reward):
            found.append(reward)
        if len(found) == limit:
            last = reward.number
            break
    ended = len(chunk) < _CHUNK and (not chunk or last == chunk[-1][0])
    return QuarantinePage(rewards=found, after=None if ended else last)


def find_quarantined(
    source: Source, reward_id: RewardId, decisions: DecisionLog, ledger: RewardLedger, manifests: Manifests
) -> Quarantined:
    """The one of this id.

    Raises:
        NotFound: It is not in quarantine, or never was there.
    """
    found = next(quarantined(decisions, ledger, manifests, source=source, reward_id=reward_id), None)
    if found is None:
        raise NotFound("quarantined reward", f"{source} {reward_id}")
    return found


def numbered(
    numbers: Iterable[int], decisions: DecisionLog, ledger: RewardLedger, manifests: Manifests
) -> list[Quarantined]:
    """Those of these numbers, in order of receipt.

    Raises:
        NotFound: One of them is not in quarantine, or no more.
    """
    chunk: list[tuple[int, LedgerEntry]] = []
    for number in sorted(set(numbers)):
        found = ledger.quarantine(number - 1, 1)
        if not found or found[0][0] != number:
            raise NotFound("quarantined reward", f"number {number}")
        chunk += found
    return list(_all_judged(chunk, decisions, ledger, manifests))


def decision_of(reward: Quarantined) -> DecisionId:
    """The decision that a quarantined event names.

    Raises:
        InvalidInput: It names a shopper or an order. Which decisions have such an event may change, and an operator's
            amendment must mean one thing for good: so its sender amends it.
    """
    event = reward.entry.event
    if event.decision_id is None:
        raise InvalidInput(
            event.reward_id,
            "names a shopper or an order, not a decision; ask its sender to correct or retract it: an amendment goes "
            "wherever the event goes that it amends",
        )
    return event.decision_id


def release(
    reward: Quarantined,
    value: float | None,
    at: datetime,
    decisions: DecisionLog,
    ledger: RewardLedger,
    manifests: Manifests,
) -> LedgerEntry | None:
    """Counts a quarantined event after all, by a correction to a value its metric allows.

    Args:
        value: None takes the nearest value that is allowed.

    Returns:
        The row that was added; None where that very value stands already.

    Raises:
        InvalidInput: The metric is not declared or does not allow the value, or the event names no decision.
        NotFound: The decision is gone.
    """
    event = reward.entry.event
    metric = _metric(reward, decisions, manifests)
    wanted = min(max(event.value or 0.0, metric.min), metric.max) if value is None else value
    if not metric.min <= wanted <= metric.max:
        detail = (
            f"{wanted!r} lies outside [{metric.min:g}, {metric.max:g}], which the manifest allows for {event.metric!r}"
        )
        raise InvalidInput("--value", detail)
    return _amended(reward, wanted, at, ledger)


def discard(reward: Quarantined, at: datetime, ledger: RewardLedger) -> LedgerEntry | None:
    """Takes a quarantined event back for good. Returns the row that was added; None where it is discarded already.

    Raises:
        InvalidInput: The event names no decision.
    """
    return _amended(reward, None, at, ledger)


def _all_judged(
    chunk: Sequence[tuple[int, LedgerEntry]], decisions: DecisionLog, ledger: RewardLedger, manifests: Manifests
) -> Iterator[Quarantined]:
    named = {number: entry.event.decision_id for number, entry in chunk if entry.event.decision_id is not None}
    found = decisions.find(set(named.values()))
    for number, entry in chunk:
        decision = found.get(named[number]) if number in named else None
        yield _judged(number, entry, decision, ledger, manifests)


def _judged(
    number: int, entry: LedgerEntry, decision: Decision | None, ledger: RewardLedger, manifests: Manifests
) -> Quarantined:
    event = entry.event
    if decision is None:
        return Quarantined(
            number=number, policy=None, entry=entry, state=QuarantineState.OPEN, declared=False, counts_as=None
        )
    manifest = manifests.by_sha(decision.manifest_sha)
    value = standing_value(manifest, ledger.history(decision.decision_id), event)
    if value is None:
        state = QuarantineState.DISCARDED
    elif quarantine_reason(manifest, event.metric, value) is None:
        state = QuarantineState.RELEASED
    else:
        state = QuarantineState.OPEN
    return Quarantined(
        number=number,
        policy=decision.policy,
        entry=entry,
        state=state,
        declared=event.metric in manifest.reward.metrics,
        counts_as=value if state is QuarantineState.RELEASED else None,
    )


def _metric(reward: Quarantined, decisions: DecisionLog, manifests: Manifests) -> Metric:
    event = reward.entry.event
    named = decision_of(reward)
    decision = decisions.find({named}).get(named)
    if decision is None:
        raise NotFound("decision", str(named))
    manifest = manifests.by_sha(decision.manifest_sha)
    metric = manifest.reward.metrics.get(event.metric)
    if metric is None:
        raise InvalidInput(
            event.metric,
            f"is no metric of the manifest under which policy {manifest.name} made the decision, so it can never count "
            "there; discard the event, and declare the metric in the manifest for decisions to come",
        )
    return metric


def _amended(reward: Quarantined, value: float | None, at: datetime, ledger: RewardLedger) -> LedgerEntry | None:
    """Adds the operator's next amendment of an event, unless his last one says the same and stands."""
    event, decision_id = reward.entry.event, decision_of(reward)
    for _ in range(_ATTEMPTS):
        history = ledger.history(decision_id)
        mine = [known.event for known in history if _is_operators(known.event, event)]
        later = [known.event.occurred_at for known in history if event.reward_id in _named(known.event)]
        if mine and mine[-1].value == value and mine[-1].occurred_at >= max(later):
            return None
        verb = "release" if value is not None else "discard"
        amendment = RewardEvent(
            source=event.source,
            reward_id=RewardId(f"{OPERATOR_PREFIX}{verb}/{event.reward_id}/{len(mine) + 1}"),
            decision_id=decision_id,
            metric=event.metric,
            value=value,
            # Of several amendments the latest stands: this one is later than any it overrules.
            occurred_at=max([at, *(moment + timedelta(microseconds=1) for moment in later)]),
            corrects=event.reward_id if value is not None else None,
            retracts=event.reward_id if value is None else None,
        )
        entry = LedgerEntry(event=amendment, received_at=at)
        if ledger.append([entry]) == [RewardStatus.ACCEPTED]:
            return entry
    raise Unavailable("the quarantined event (others are amending it)")


def _named(event: RewardEvent) -> Sequence[RewardId | None]:
    return event.corrects, event.retracts


def _is_operators(event: RewardEvent, original: RewardEvent) -> bool:
    return (
        event.source == original.source
        and original.reward_id in _named(event)
        and event.reward_id.startswith(OPERATOR_PREFIX)
    )
