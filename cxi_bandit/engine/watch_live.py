"""The live watch: has what went live become worse than what it replaced, or than leaving shoppers alone?"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import numpy as np

from cxi_bandit.domain.assignment import Arm, Beside
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, lowest_id_at
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.ports import Visit, Visits
from cxi_bandit.engine.watch_rows import Ruler, day_since, firsts, read
from cxi_bandit.evidence.canary import arm_bounds, canary_contrasts
from cxi_bandit.evidence.contrast import Bounds, Contrasts, Floats
from cxi_bandit.evidence.detector import Detector, swapped_differences
from cxi_bandit.policy.arms import ratio
from cxi_bandit.policy.manifest import Manifest

_DAY_SECONDS: Final = 86_400.0


class Sums(msgspec.Struct, frozen=True):
    """Of values in their own unit, one a shopper."""

    number: int = 0
    total: float = 0.0
    squares: float = 0.0

    def adding(self, values: Iterable[float]) -> "Sums":
        """These and more, one after the other: the same however they come in pieces."""
        number, total, squares = self.number, self.total, self.squares
        for value in values:
            number, total, squares = number + 1, total + value, squares + value * value
        return Sums(number, total, squares)

    @property
    def mean(self) -> float:
        """Of at least one."""
        return self.total / self.number

    @property
    def variance_of_mean(self) -> float:
        """Of at least two."""
        spread = max(self.squares - self.total * self.total / self.number, 0.0)
        return spread / (self.number - 1) / self.number


class LiveWatch(msgspec.Struct, frozen=True, kw_only=True):
    """All that a live watch knows; the same however its reading was cut.

    Every unit goes to exactly one of the detectors, and each alarms by itself: so of n units at most n/c false alarms
    are to be expected, as if there were one.

    Attributes:
        since: When what is live went live.
        against: The arm it is compared with, `previous` or `hold`.
        promotion_id: The promotion that made it live; None where none did.
        after: The last decision read.
        until: When that was made.
        arrivals: Shoppers at their first decision since then: their arm is a fresh draw.
        returning: Shoppers of the live arm at their first decision of a later day; None against `hold`.
        live: Rewards of the arrivals in the live arm.
        other: Rewards of those in the arm it is compared with.
        alarms: How often it has gone off with nothing to go back to, and was begun again.
    """

    since: datetime
    against: Arm
    promotion_id: int | None
    after: DecisionId
    until: datetime | None = None
    arrivals: Detector
    returning: Detector | None
    live: Sums = Sums()
    other: Sums = Sums()
    alarms: int = 0

    @property
    def level(self) -> float:
        """The higher of the detectors' levels; it goes off at their `alarm_at`."""
        return max(self.arrivals.level, 0.0 if self.returning is None else self.returning.level)

    @property
    def alarmed(self) -> bool:
        """Whether either has gone off."""
        return any(one is not None and one.alarmed_after is not None for one in (self.arrivals, self.returning))

    @property
    def units(self) -> int:
        """Shoppers bet on, those who came back counted once a day."""
        return self.arrivals.position.units + (0 if self.returning is None else self.returning.position.units)

    def afresh(self) -> "LiveWatch":
        """Begun again after an alarm; what was read stays read."""
        return msgspec.structs.replace(
            self,
            arrivals=self.arrivals.afresh(),
            returning=None if self.returning is None else self.returning.afresh(),
            alarms=self.alarms + 1,
        )


class Comparison(NamedTuple):
    """What the live arm is compared with: an arm, and its share of the shoppers whom no arm before it took."""

    arm: Arm
    share: float


def opened(
    since: datetime, against: Comparison, promotion_id: int | None, live: Sequence[Manifest], alarm_at: float
) -> LiveWatch:
    """A watch that has heard nothing.

    Args:
        since: When what is live went live, with the arm beside it.
        live: The manifests that answer the live arm.
    """
    floor = min(manifest.exploration.lowest_floor for manifest in live)
    own = Bounds(upper=1.0 / floor - 1.0, lower=1.0, shortfall=1.0)
    return LiveWatch(
        since=since,
        against=against.arm,
        promotion_id=promotion_id,
        after=lowest_id_at(since),
        arrivals=Detector(bounds=arm_bounds(against.share), alarm_at=alarm_at),
        returning=None if against.arm is Arm.HOLD else Detector(bounds=own, alarm_at=alarm_at),
    )


class Listening(NamedTuple):
    """Where a live policy's shoppers are found.

    Attributes:
        revisions: Every revision since what is live went live, by number.
    """

    visits: Visits
    revisions: Mapping[int, Rollout]
    ruler: Ruler

    def listen(self, watch: LiveWatch, at: datetime) -> tuple[LiveWatch, bool]:
        """The watch after the decisions that have closed, and whether there may be more to hear at once."""
        latest = self.revisions[max(self.revisions)]
        watermark = at - timedelta(seconds=self.ruler.live.reward.horizon_seconds)
        reading = read(
            self.visits,
            latest.policy,
            watch.after,
            watermark,
            lambda decision: self._place(watch, decision) is not None,
        )
        decisions = [visit.decision for visit in reading.rows]
        began = _beginning(watch, latest)
        new = firsts(self.visits, latest.policy, decisions, began)
        arrivals = [visit for visit in reading.rows if visit.decision.decision_id in new]
        heard = self._arrived(watch, arrivals)
        if heard.returning is not None:
            today = firsts(self.visits, latest.policy, decisions, day_since(watch.since))
            again = [visit for visit in reading.rows if visit.decision.decision_id in today - new]
            heard = msgspec.structs.replace(heard, returning=self._returned(heard.returning, again))
        return msgspec.structs.replace(heard, after=reading.after, until=reading.until or watch.until), reading.more

    def _place(self, watch: LiveWatch, decision: Decision) -> Arm | None:
        """The arm that a decision speaks for; None where it says nothing, which no draw of an intervention decides."""
        assignment = decision.assignment
        if assignment is None or assignment.revision not in self.revisions:
            return None
        arm = assignment.arm
        if watch.against is Arm.HOLD:
            return arm if arm in (Arm.HOLD, Arm.LIVE) else None
        if arm is Arm.LIVE and _beside(decision, Arm.PREVIOUS) is not None:
            return arm
        previous = self.revisions[assignment.revision].previous
        if arm is Arm.PREVIOUS and previous is not None and decision.policy_version == previous.stand.version:
            return arm if _beside(decision, Arm.LIVE) is not None else None
        return None

    def _arrived(self, watch: LiveWatch, arrivals: Sequence[Visit]) -> LiveWatch:
        if not arrivals:
            return watch
        other = np.array([self._place(watch, visit.decision) is not Arm.LIVE for visit in arrivals], np.bool_)
        value = [self.ruler.reward(visit) for visit in arrivals]
        share = np.array([self._share(watch, visit.decision) for visit in arrivals])
        reward = np.array([self.ruler.scaled(one) for one in value])
        if watch.against is Arm.HOLD:
            contrasts = _by_arm(other, reward, share)
        else:
            contrasts = _by_vectors([visit.decision for visit in arrivals], reward, share, watch.arrivals.bounds)
        return msgspec.structs.replace(
            watch,
            arrivals=watch.arrivals.watching(contrasts),
            live=watch.live.adding(one for one, away in zip(value, other, strict=True) if not away),
            other=watch.other.adding(one for one, away in zip(value, other, strict=True) if away),
        )

    def _share(self, watch: LiveWatch, decision: Decision) -> float:
        revision = 0 if decision.assignment is None else decision.assignment.revision
        return ratio(self.revisions[revision], decision.situation.defect.type, watch.against)

    def _returned(self, detector: Detector, again: Sequence[Visit]) -> Detector:
        """Those in the live arm, whose arm is known by now: only the draw itself is fresh, by the arm's own vector."""
        rows = [visit for visit in again if visit.decision.assignment and visit.decision.assignment.arm is Arm.LIVE]
        if not rows:
            return detector
        drawn = np.array([visit.decision.propensity for visit in rows])
        others = [_beside(visit.decision, Arm.PREVIOUS) for visit in rows]
        before = np.array([_at(one, visit.decision) for one, visit in zip(others, rows, strict=True)])
        unseen = np.array([_unseen(one, visit.decision) for one, visit in zip(others, rows, strict=True)])
        reward = np.array([self.ruler.scaled(self.ruler.reward(visit)) for visit in rows])
        found = swapped_differences(logged=drawn, incumbent=before, live=drawn, bounds=detector.bounds).difference
        return detector.watching(Contrasts(gain=found * reward, tilt=found + unseen, reward=reward))


def _by_vectors(decisions: Sequence[Decision], reward: Floats, share: Floats, bounds: Bounds) -> Contrasts:
    """(w_prev - w_live)(r - c) under the mixture of both arms: right for a shopper's first decision, and only there."""
    before = np.array([_probability(decision, Arm.PREVIOUS) for decision in decisions])
    live = np.array([_probability(decision, Arm.LIVE) for decision in decisions])
    mixture = share * before + (1.0 - share) * live
    found = swapped_differences(logged=mixture, incumbent=before, live=live, bounds=bounds).difference
    return Contrasts(gain=found * reward, tilt=found, reward=reward)


def _by_arm(other: np.ndarray[tuple[int], np.dtype[np.bool_]], reward: Floats, share: Floats) -> Contrasts:
    """(Z/rho - (1-Z)/(1-rho))(Y - c), each shopper by the share of their own roll-out."""
    parts = [canary_contrasts(other[i : i + 1], reward[i : i + 1], float(share[i])) for i in range(len(reward))]
    return Contrasts(
        gain=np.concatenate([part.gain for part in parts]),
        tilt=np.concatenate([part.tilt for part in parts]),
        reward=reward,
    )


def _beginning(watch: LiveWatch, rollout: Rollout) -> Callable[[Decision], datetime]:
    """Since when a shopper's arm stands: since going live, or since other shoppers came to be left alone."""
    rotation = rollout.hold_rotation_days * _DAY_SECONDS if watch.against is Arm.HOLD else 0.0

    def began(decision: Decision) -> datetime:
        turn = math.floor(decision.decided_at.timestamp() / rotation) * rotation
        return max(watch.since, datetime.fromtimestamp(turn, UTC))

    return began if rotation else lambda _: watch.since


def _probability(decision: Decision, arm: Arm) -> float:
    """What an arm's vector gives the drawn intervention, whichever arm drew it."""
    if decision.assignment is not None and decision.assignment.arm is arm:
        return decision.propensity
    return _at(_beside(decision, arm), decision)


def _beside(decision: Decision, arm: Arm) -> Beside | None:
    others = () if decision.assignment is None else decision.assignment.beside
    return next((one for one in others if one.place == arm.value), None)


def _vector(beside: Beside | None, decision: Decision) -> dict[InterventionId, float]:
    if beside is None:
        return {}
    return dict(zip(beside.eligible or decision.situation.eligible, beside.probabilities, strict=True))


def _at(beside: Beside | None, decision: Decision) -> float:
    return _vector(beside, decision).get(decision.intervention, 0.0)


def _unseen(beside: Beside | None, decision: Decision) -> float:
    """1 - s: what the other would have done that the log, drawn by the live arm, can never show."""
    drawn = dict(zip(decision.situation.eligible, decision.probabilities, strict=True))
    return math.fsum(p for name, p in _vector(beside, decision).items() if not drawn.get(name))
