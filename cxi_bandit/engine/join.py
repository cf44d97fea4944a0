"""Join: decisions and rewards become outcomes, in decision order behind a watermark, revised when rewards come late."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.outcome import OutcomeStanding, Settlement
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.attribute import attribute
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Closure, OpenDecision, OutcomeLog, Sequencing
from cxi_bandit.engine.unseen import Unseen
from cxi_bandit.policy.settlement import settle

SEQUENCE_ONLY: Final = timedelta(days=36_500)
"""A lateness with which a pass gives rewards their place and closes no window: that is the service's to do."""


class JoinReport(msgspec.Struct, frozen=True, gc=False):
    """What one pass did; `idle` when there was nothing to do or another process is the sequencer.

    Attributes:
        waited_rewards: How long the oldest reward taken had waited since its receipt.
        waited_windows: How long the oldest window taken had waited since its end.
        decisions: Whose outcomes were appended, in that order.
    """

    sequenced: int = 0
    closed: int = 0
    revised: int = 0
    waited_rewards: timedelta = timedelta()
    waited_windows: timedelta = timedelta()
    decisions: tuple[DecisionId, ...] = ()

    @property
    def idle(self) -> bool:
        """Nothing was taken, so nothing more is waiting now."""
        return self.sequenced == self.closed == self.revised == 0


def join(
    outcomes: OutcomeLog,
    manifests: Manifests,
    now: datetime,
    lateness: timedelta,
    limit: int = 5000,
    unseen: Unseen | None = None,
) -> JoinReport:
    """One pass of the sequencer: all of it is committed when this returns, or none.

    Args:
        lateness: How long after its close a window waits for commits still on their way, so that decisions enter in
            decision order. A decision that commits even later still enters, at the position it is given then.
        limit: Most rewards, and most windows, of one pass.
        unseen: What is known of decisions that were never shown; None reads it from the log, where it is asked for.
    """
    with outcomes.sequencing() as sequencing:
        if sequencing is None:
            return JoinReport()
        rewards = sequencing.take_rewards(limit)
        # A window closes on all rewards that were there: while some still wait for their turn, none is closed.
        drained = len(rewards) < limit
        due = sequencing.matured(now - lateness, limit) if drained else []
        touched = {entry.event.decision_id for entry in rewards if entry.event.decision_id is not None}
        touched |= attribute(sequencing.addresses, manifests, [entry.event for entry in rewards], _decisions(due))
        early = _reached(sequencing, manifests, due, touched) if drained else []
        revised = _revisions(sequencing, manifests, touched)
        closed = _first_closes(sequencing, manifests, due, early, unseen or Unseen(outcomes, manifests))
        appended = [*revised, *closed]
        sequencing.append(appended, now)
        return JoinReport(
            sequenced=len(rewards),
            closed=len(closed),
            revised=len(revised),
            waited_rewards=max((now - entry.received_at for entry in rewards[:1]), default=timedelta()),
            waited_windows=max((now - open_.decision.closes_at for open_ in due[:1]), default=timedelta()),
            decisions=tuple([closure.decision_id for closure in appended]),
        )


def _reached(
    sequencing: Sequencing, manifests: Manifests, due: Sequence[OpenDecision], touched: set[DecisionId]
) -> list[OpenDecision]:
    """Windows not due yet that a reward has reached and that close on the first one.

    They too have the events looked at that they may have, as a window closes only once; `touched` grows by those whom
    that concerns.
    """
    early: dict[DecisionId, OpenDecision] = {}
    asked = {open_.decision.decision_id for open_ in due}
    while unasked := touched - asked:
        asked |= unasked
        found = [open_ for open_ in sequencing.still_open(unasked) if _closes_early(open_, manifests)]
        early |= {open_.decision.decision_id: open_ for open_ in found}
        touched |= attribute(sequencing.addresses, manifests, [], _decisions(found))
    return sorted(early.values(), key=lambda open_: open_.decision.decision_id)


def _decisions(windows: Sequence[OpenDecision]) -> list[Decision]:
    return [open_.decision for open_ in windows]


def _revisions(sequencing: Sequencing, manifests: Manifests, touched: Collection[DecisionId]) -> list[Closure]:
    """A new revision for every closed decision whose new rewards change its settlement."""
    standing = sequencing.closed(touched)
    entries = sequencing.entries_of(standing.keys())
    revisions = []
    for decision_id in sorted(standing):
        decision, latest = standing[decision_id]
        settlement = _settled(decision, entries.get(decision_id, []), manifests)
        if settlement != latest.settlement:
            revisions.append(_closure(decision, settlement, latest.standing, latest.revision + 1))
    return revisions


def _first_closes(
    sequencing: Sequencing,
    manifests: Manifests,
    due: Sequence[OpenDecision],
    early: Sequence[OpenDecision],
    unseen: Unseen,
) -> list[Closure]:
    """First closes in decision order: windows that ended, and where a manifest opts in, those a reward just reached."""
    ended = {open_.decision.decision_id for open_ in due}
    windows = [*due, *early]
    entries = sequencing.entries_of({open_.decision.decision_id for open_ in windows})
    closes = []
    for open_ in windows:
        decision = open_.decision
        settlement = _settled(decision, entries.get(decision.decision_id, []), manifests)
        if settlement.completed or decision.decision_id in ended:
            closes.append(_closure(decision, settlement, _standing(open_, unseen), 0))
    return closes


def _closes_early(open_: OpenDecision, manifests: Manifests) -> bool:
    """Whether a first reward closes it. Where only what was shown counts, one that is not shown yet waits."""
    reward = manifests.by_sha(open_.decision.manifest_sha).reward
    return reward.closes_on == "first_reward" and (not reward.drops_unseen or open_.activated)


def _settled(decision: Decision, entries: Sequence[LedgerEntry], manifests: Manifests) -> Settlement:
    manifest = manifests.by_sha(decision.manifest_sha)
    return settle(manifest, decision.intervention, (decision.decided_at, decision.closes_at), entries)


def _standing(open_: OpenDecision, unseen: Unseen) -> OutcomeStanding:
    if open_.set_aside is not None:
        return open_.set_aside
    decision = open_.decision
    if decision.override_id is not None:
        return OutcomeStanding.OVERRIDDEN
    if decision.assignment is not None and decision.assignment.arm is Arm.HOLD:
        return OutcomeStanding.HELD_BACK
    dropped = not open_.activated and unseen.may_be_dropped(decision.policy, decision.manifest_sha)
    return OutcomeStanding.UNACTIVATED if dropped else OutcomeStanding.LEARNABLE


def _closure(decision: Decision, settlement: Settlement, standing: OutcomeStanding, revision: int) -> Closure:
    return Closure(
        policy=decision.policy,
        decision_id=decision.decision_id,
        revision=revision,
        settlement=settlement,
        standing=standing,
    )
