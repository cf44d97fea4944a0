"""Join: decisions and rewards become outcomes, in decision order behind a watermark, revised when rewards come late."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ManifestSha
from cxi_bandit.domain.outcome import OutcomeStanding, Settlement, Window
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.attribute import attribute
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Closure, OpenWindow, OutcomeLog, Sequencing
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
        touched |= attribute(sequencing.addresses, manifests, [entry.event for entry in rewards], _windows(due))
        early = _reached(sequencing, manifests, due, touched) if drained else _Reached([], set())
        settling = _Settling(sequencing, manifests)
        revised = _revisions(settling, touched - early.still_open)
        closed = _first_closes(settling, due, early.closing, unseen or Unseen(outcomes, manifests))
        appended = [*revised, *closed]
        sequencing.append(appended, now)
        return JoinReport(
            sequenced=len(rewards),
            closed=len(closed),
            revised=len(revised),
            waited_rewards=max((now - entry.received_at for entry in rewards[:1]), default=timedelta()),
            waited_windows=max((now - open_.window.closes_at for open_ in due[:1]), default=timedelta()),
            decisions=tuple([closure.decision_id for closure in appended]),
        )


class _Reached(NamedTuple):
    """Of the decisions that a pass's rewards reached, in decision order, those that close early.

    Attributes:
        still_open: All that were open when the pass began, those among them that are due.
    """

    closing: list[OpenWindow]
    still_open: set[DecisionId]


def _reached(
    sequencing: Sequencing, manifests: Manifests, due: Sequence[OpenWindow], touched: set[DecisionId]
) -> _Reached:
    """Windows not due yet that a reward has reached and that close on the first one.

    They too have the events looked at that they may have, as a window closes only once; `touched` grows by those whom
    that concerns.
    """
    early: list[OpenWindow] = []
    still_open = {open_.window.decision_id for open_ in due}
    asked = set(still_open)
    while unasked := touched - asked:
        asked |= unasked
        found = sequencing.still_open(unasked)
        still_open.update(open_.window.decision_id for open_ in found)
        closing = [open_ for open_ in found if _closes_early(open_, manifests)]
        early += closing
        touched |= attribute(sequencing.addresses, manifests, [], _windows(closing))
    return _Reached(sorted(early, key=lambda open_: open_.window.decision_id), still_open)


def _windows(open_: Sequence[OpenWindow]) -> list[Window]:
    return [one.window for one in open_]


class _Settling:
    """What windows earned, by the events that have a ledger position in this pass.

    Most have none. Of those all that have the same intervention of the same manifest earned the same.
    """

    def __init__(self, sequencing: Sequencing, manifests: Manifests) -> None:
        self.sequencing = sequencing
        self._manifests = manifests
        self._unheard: dict[tuple[ManifestSha, InterventionId], Settlement] = {}

    def settled(self, windows: Sequence[Window]) -> list[Settlement]:
        """That of each, in their order."""
        if not windows:
            return []
        heard = self.sequencing.entries_of([window.decision_id for window in windows])
        return [self._settled(window, heard.get(window.decision_id, ())) for window in windows]

    def _settled(self, window: Window, entries: Sequence[LedgerEntry]) -> Settlement:
        if entries:
            return self._settle(window, entries)
        kind = (window.manifest_sha, window.intervention)
        found = self._unheard.get(kind)
        if found is None:
            found = self._unheard[kind] = self._settle(window, ())
        return found

    def _settle(self, window: Window, entries: Sequence[LedgerEntry]) -> Settlement:
        manifest = self._manifests.by_sha(window.manifest_sha)
        return settle(manifest, window.intervention, (window.decided_at, window.closes_at), entries)


def _revisions(settling: _Settling, touched: Collection[DecisionId]) -> list[Closure]:
    """A new revision for every closed decision whose new rewards change its settlement."""
    if not touched:
        return []
    standing = settling.sequencing.closed(touched)
    windows = [standing[decision_id][0] for decision_id in sorted(standing)]
    revisions = []
    for window, settlement in zip(windows, settling.settled(windows), strict=True):
        _, latest = standing[window.decision_id]
        if settlement != latest.settlement:
            revisions.append(_closure(window, settlement, latest.standing, latest.revision + 1))
    return revisions


def _first_closes(
    settling: _Settling, due: Sequence[OpenWindow], early: Sequence[OpenWindow], unseen: Unseen
) -> list[Closure]:
    """First closes in decision order: windows that ended, and where a manifest opts in, those a reward just reached."""
    opened = [*due, *early]
    settled = settling.settled(_windows(opened))
    # Those that ended close in any case; of the others only whose reward has come.
    return [
        _closure(one.window, settlement, _standing(one, unseen), 0)
        for place, (one, settlement) in enumerate(zip(opened, settled, strict=True))
        if place < len(due) or settlement.completed
    ]


def _closes_early(open_: OpenWindow, manifests: Manifests) -> bool:
    """Whether a first reward closes it. Where only what was shown counts, one that is not shown yet waits."""
    reward = manifests.by_sha(open_.window.manifest_sha).reward
    return reward.closes_on == "first_reward" and (not reward.drops_unseen or open_.activated)


def _standing(open_: OpenWindow, unseen: Unseen) -> OutcomeStanding:
    if open_.set_aside is not None:
        return open_.set_aside
    window = open_.window
    if window.overridden:
        return OutcomeStanding.OVERRIDDEN
    if window.arm is Arm.HOLD:
        return OutcomeStanding.HELD_BACK
    dropped = not open_.activated and unseen.may_be_dropped(window.policy, window.manifest_sha)
    return OutcomeStanding.UNACTIVATED if dropped else OutcomeStanding.LEARNABLE


def _closure(window: Window, settlement: Settlement, standing: OutcomeStanding, revision: int) -> Closure:
    return Closure(
        policy=window.policy,
        decision_id=window.decision_id,
        revision=revision,
        settlement=settlement,
        standing=standing,
    )
