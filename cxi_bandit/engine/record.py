"""Record: delivered reward events into the ledger, each answered with what became of it."""

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, ManifestSha, RewardId
from cxi_bandit.domain.quarantine import OPERATOR_PREFIX
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardKey, RewardStatus
from cxi_bandit.engine.attribute import resolve
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import DecisionLog, RewardLedger
from cxi_bandit.policy.settlement import quarantine_reason


class RewardReceipt(msgspec.Struct, frozen=True, gc=False):
    """What became of one delivered event, and why where it was not simply accepted."""

    reward_id: RewardId
    status: RewardStatus
    reason: str | None = None


def record(
    events: Sequence[RewardEvent],
    received_at: datetime,
    decisions: DecisionLog,
    ledger: RewardLedger,
    manifests: Manifests,
) -> list[RewardReceipt]:
    """Appends the events, in order, and says what became of each. Durable when it returns.

    A reward whose decision is not in the log (yet) is parked: it is in the ledger and counts as soon as the decision
    is; so is one that names a shopper or an order of whom no decision takes it yet. A reward that its policy's manifest
    does not allow is quarantined: kept, not counted. A malformed one is rejected and not kept.
    """
    reached = _reached(events, ledger, manifests)
    named = {name for names in reached.values() for name in names}
    known = decisions.manifests_of(named.union(event.decision_id for event in events if event.decision_id is not None))
    verdicts = [_verdict(event, known, reached.get(event.key, ()), manifests) for event in events]
    kept = [
        LedgerEntry(event=event, received_at=received_at, quarantined=reason if status is _QUARANTINED else None)
        for event, (status, reason) in zip(events, verdicts, strict=True)
        if status is not RewardStatus.REJECTED
    ]
    appended = iter(ledger.append(kept))
    receipts = []
    for event, (status, reason) in zip(events, verdicts, strict=True):
        landed = RewardStatus.REJECTED if status is RewardStatus.REJECTED else next(appended)
        if landed is RewardStatus.CONFLICT:
            receipts.append(RewardReceipt(event.reward_id, landed, "this reward_id stands with another content"))
        elif landed is RewardStatus.DUPLICATE:
            receipts.append(RewardReceipt(event.reward_id, landed))
        else:
            receipts.append(RewardReceipt(event.reward_id, status, reason))
    return receipts


_QUARANTINED = RewardStatus.QUARANTINED


def pseudonym_of_order(subject_key: bytes, order: str) -> bytes:
    """HMAC-SHA-256 of the order's number, which is no shopper's pseudonym: theirs begin with no U+0000."""
    return hmac.digest(subject_key, b"\0order\0" + order.encode(), hashlib.sha256)


def _reached(
    events: Sequence[RewardEvent], ledger: RewardLedger, manifests: Manifests
) -> Mapping[RewardKey, Collection[DecisionId]]:
    """Which decisions those events would go to now that name none. Only told to the sender: the sequencer decides."""
    unnamed = [event for event in events if event.decision_id is None and not _malformed(event)]
    if not unnamed:
        return {}
    with ledger.addresses() as addresses:
        return resolve(unnamed, addresses, manifests, beside=events)


def _verdict(
    event: RewardEvent,
    known: Mapping[DecisionId, ManifestSha],
    reached: Collection[DecisionId],
    manifests: Manifests,
) -> tuple[RewardStatus, str | None]:
    if reason := _malformed(event):
        return RewardStatus.REJECTED, reason
    names = reached if event.decision_id is None else (event.decision_id,)
    made_under = dict.fromkeys([known[name] for name in names if name in known])
    if not made_under:
        return RewardStatus.PARKED, _PARKED if event.decision_id is not None else _UNATTRIBUTED
    if event.retracts is None:
        reasons = [quarantine_reason(manifests.by_sha(sha), event.metric, event.value) for sha in made_under]
        if all(reasons):
            return RewardStatus.QUARANTINED, reasons[0]
    return RewardStatus.ACCEPTED, None


_PARKED: Final = "no such decision yet; the reward counts once the decision is in the log"
_UNATTRIBUTED: Final = (
    "no decision of this shopper, order or amended reward takes it by its policy's [reward.attribution] yet; "
    "the reward counts once one does"
)


def _malformed(event: RewardEvent) -> str | None:
    return _misaddressed(event) or _contradiction(event)


def _misaddressed(event: RewardEvent) -> str | None:
    if event.decision_id is None and event.subject is None and event.order is None:
        return "name the decision, the shopper or the order that the reward is about"
    if event.decision_id is not None and event.subject is not None:
        return "name the decision or the shopper, not both"
    return None


def _contradiction(event: RewardEvent) -> str | None:
    if event.corrects is not None and event.retracts is not None:
        return "a reward either corrects or retracts another; send one of the two"
    if (event.value is None) != (event.retracts is not None):
        return "a retraction carries no value, every other reward a number"
    if event.reward_id in (event.corrects, event.retracts):
        return "a reward cannot amend itself; give the amendment a reward_id of its own"
    amended = event.amends
    if event.reward_id.startswith(OPERATOR_PREFIX) or (amended is not None and amended[1].startswith(OPERATOR_PREFIX)):
        return f"ids that begin with {OPERATOR_PREFIX!r} are the operator's; give the event another reward_id"
    return None
