"""Record: delivered reward events into the ledger, each answered with what became of it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import RewardId
from cxi_bandit.domain.quarantine import OPERATOR_PREFIX
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent, RewardStatus
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
    is. A reward that its policy's manifest does not allow is quarantined: kept, not counted. A malformed one is
    rejected and not kept.
    """
    known = decisions.find({event.decision_id for event in events})
    verdicts = [_verdict(event, known.get(event.decision_id), manifests) for event in events]
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


def _verdict(event: RewardEvent, decision: Decision | None, manifests: Manifests) -> tuple[RewardStatus, str | None]:
    if reason := _malformed(event):
        return RewardStatus.REJECTED, reason
    if decision is None:
        return RewardStatus.PARKED, "no such decision yet; the reward counts once the decision is in the log"
    if event.retracts is None:
        manifest = manifests.by_sha(decision.manifest_sha)
        if reason := quarantine_reason(manifest, event.metric, event.value):
            return RewardStatus.QUARANTINED, reason
    return RewardStatus.ACCEPTED, None


def _malformed(event: RewardEvent) -> str | None:
    if event.corrects is not None and event.retracts is not None:
        return "a reward either corrects or retracts another; send one of the two"
    if (event.value is None) != (event.retracts is not None):
        return "a retraction carries no value, every other reward a number"
    if event.reward_id in (event.corrects, event.retracts):
        return "a reward cannot amend itself; give the amendment a reward_id of its own"
    if any(name is not None and name.startswith(OPERATOR_PREFIX) for name in _names(event)):
        return f"ids that begin with {OPERATOR_PREFIX!r} are the operator's; give the event another reward_id"
    return None


def _names(event: RewardEvent) -> tuple[RewardId | None, ...]:
    return event.reward_id, event.corrects, event.retracts
