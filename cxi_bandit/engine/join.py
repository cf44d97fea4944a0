"""Join: decisions and rewards become outcomes, in decision order behind a watermark, revised when rewards come late."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.outcome import OutcomeStanding, Settlement
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Closure, OpenDecision, OutcomeLog, Sequencing
from cxi_bandit.policy.settlement import settle


class JoinReport(msgspec.Struct, frozen=True, gc=False):
    """What one pass did; `idle` when there was nothing to do or another process is the sequencer."""

    sequenced: int = 0
    closed: int = 0
    revised: int = 0

    @property
    def idle(self) -> bool:
        """Nothing was taken, so nothing more is waiting now."""
        return self.sequenced == self.closed == self.revised == 0


def join(
    outcomes: OutcomeLog, manifests: Manifests, now: datetime, lateness: timedelta, limit: int = 5000
) -> JoinReport:
    """One pass of the sequencer: all of it is committed when this returns, or none.

    Args:
        lateness: How long after its close a window waits for commits still on their way, so that decisions enter in
            decision order. A decision that commits even later still enters, at the position it is given then.
        limit: Most rewards, and most windows, of one pass.
    """
    with outcomes.sequencing() as sequencing:
        if sequencing is None:
            return JoinReport()
        rewards = sequencing.take_rewards(limit)
        touched = {entry.event.decision_id for entry in rewards}
        revised = _revisions(sequencing, manifests, touched)
        # A window closes on all rewards that were there: while some still wait for their turn, none is closed.
        drained = len(rewards) < limit
        closed = _first_closes(sequencing, manifests, touched, now - lateness, limit) if drained else []
        sequencing.append([*revised, *closed], now)
        return JoinReport(sequenced=len(rewards), closed=len(closed), revised=len(revised))


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
    sequencing: Sequencing, manifests: Manifests, touched: Collection[DecisionId], before: datetime, limit: int
) -> list[Closure]:
    """First closes in decision order: windows that ended, and where a manifest opts in, those a reward just reached."""
    due = {open_.decision.decision_id: open_ for open_ in sequencing.matured(before, limit)}
    rewarded = [open_ for open_ in sequencing.still_open(touched) if _closes_early(open_, manifests)]
    entries = sequencing.entries_of(due.keys() | {open_.decision.decision_id for open_ in rewarded})
    closes = []
    for open_ in [*due.values(), *(open_ for open_ in rewarded if open_.decision.decision_id not in due)]:
        decision = open_.decision
        settlement = _settled(decision, entries.get(decision.decision_id, []), manifests)
        if settlement.completed or decision.decision_id in due:
            closes.append(_closure(decision, settlement, _standing(open_, manifests), 0))
    return closes


def _closes_early(open_: OpenDecision, manifests: Manifests) -> bool:
    """Whether a first reward closes it. Where only what was shown counts, one that is not shown yet waits."""
    reward = manifests.by_sha(open_.decision.manifest_sha).reward
    return reward.closes_on == "first_reward" and (reward.counts_when == "answered" or open_.activated)


def _settled(decision: Decision, entries: Sequence[LedgerEntry], manifests: Manifests) -> Settlement:
    manifest = manifests.by_sha(decision.manifest_sha)
    return settle(manifest, decision.intervention, (decision.decided_at, decision.closes_at), entries)


def _standing(open_: OpenDecision, manifests: Manifests) -> OutcomeStanding:
    if open_.set_aside is not None:
        return open_.set_aside
    counts_when = manifests.by_sha(open_.decision.manifest_sha).reward.counts_when
    shown = counts_when == "answered" or open_.activated
    return OutcomeStanding.LEARNABLE if shown else OutcomeStanding.UNACTIVATED


def _closure(decision: Decision, settlement: Settlement, standing: OutcomeStanding, revision: int) -> Closure:
    return Closure(
        policy=decision.policy,
        decision_id=decision.decision_id,
        revision=revision,
        settlement=settlement,
        standing=standing,
    )
