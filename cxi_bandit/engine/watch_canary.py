"""The canary's watch: are shoppers better off with the candidate? One bet a shopper, who is assigned once."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import numpy as np

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, lowest_id_at
from cxi_bandit.domain.rollout import Canary, Rollout
from cxi_bandit.engine.ports import Visits
from cxi_bandit.engine.watch_rows import Ruler, firsts, read, seen
from cxi_bandit.evidence.bets import Evidence
from cxi_bandit.evidence.canary import canary_bounds, canary_contrasts
from cxi_bandit.evidence.sample_ratio import SampleRatio
from cxi_bandit.policy.manifest import Manifest

_MOST_DECISIONS: Final = 1000
"""Of one shopper within the window; what comes after them is left out in either arm."""

_NEARLY_ALL: Final = 1.0 - 1e-9


class Exposure(NamedTuple):
    """A shopper whose window is closed.

    Attributes:
        since: When the step began in which the shopper was first exposed.
        share: rho of the canary among the shoppers of both arms: those of the arms asked earlier cancel out.
        treated: Whether the shopper is in the canary.
        value: Y in [0, 1].
        anonymous: A decision about nobody, which is a unit by itself.
    """

    since: datetime
    share: float
    treated: bool
    value: float
    anonymous: bool


class CanaryStep(msgspec.Struct, frozen=True, kw_only=True):
    """What the shoppers first exposed in one step say.

    Attributes:
        better: That the canary beats what is live by more than what is asked.
        worse: That what is live beats the canary.
    """

    since: datetime
    share: float
    better: Evidence
    worse: Evidence
    ratio: SampleRatio


class CanaryWatch(msgspec.Struct, frozen=True, kw_only=True):
    """All that a canary's watch knows: small, and the same however its reading was cut.

    The steps' evidence is multiplied. A shopper moves the factor of the step of their first exposure and no other, by a
    bet that is fair given all before; so the product is a fair game too, one e-process over the whole canary, and going
    to the next step, which looks at it, costs nothing.

    Attributes:
        began: When the first step did: who was exposed since is known to none of the steps but one.
        delta: By how much the canary must be better, on the scale of Y.
        after: The last decision read.
        until: When that was made.
    """

    began: datetime
    delta: float
    after: DecisionId
    until: datetime | None = None
    steps: tuple[CanaryStep, ...] = ()
    anonymous: int = 0

    @property
    def log_better(self) -> float:
        """Ln of the evidence that the canary is better."""
        return math.fsum(step.better.log_e for step in self.steps)

    @property
    def log_worse(self) -> float:
        """Ln of the evidence that it is worse."""
        return math.fsum(step.worse.log_e for step in self.steps)

    @property
    def log_mismatch(self) -> float:
        """Ln of the evidence that shoppers do not come into it as declared."""
        return math.fsum(step.ratio.log_e for step in self.steps)

    @property
    def shoppers(self) -> tuple[int, int]:
        """Shoppers heard, of the canary and of what is live."""
        return sum(step.ratio.canary for step in self.steps), sum(step.ratio.control for step in self.steps)

    def shoppers_of(self, since: datetime) -> int:
        """The canary's shoppers who were first exposed in the step that began then."""
        return sum(step.ratio.canary for step in self.steps if step.since == since)

    def hearing(self, exposures: Sequence[Exposure]) -> "CanaryWatch":
        """This watch after more shoppers, in order of first exposure."""
        steps = {step.since: step for step in self.steps}
        for since in dict.fromkeys(exposure.since for exposure in exposures):
            those = [exposure for exposure in exposures if exposure.since == since]
            step = steps.get(since) or _begun(since, those[0].share, self.delta)
            steps[since] = _heard(step, those)
        anonymous = self.anonymous + sum(exposure.anonymous for exposure in exposures)
        return msgspec.structs.replace(self, steps=tuple(steps.values()), anonymous=anonymous)


def _begun(since: datetime, share: float, delta: float) -> CanaryStep:
    return CanaryStep(
        since=since,
        share=share,
        better=Evidence(bounds=canary_bounds(share), delta=delta),
        worse=Evidence(bounds=canary_bounds(1.0 - share), delta=0.0),
        ratio=SampleRatio(share=share),
    )


def _heard(step: CanaryStep, exposures: Sequence[Exposure]) -> CanaryStep:
    treated = np.array([exposure.treated for exposure in exposures], np.bool_)
    value = np.array([exposure.value for exposure in exposures], np.float64)
    number = int(treated.sum())
    seen_so_far = SampleRatio(share=step.share, canary=number, control=len(exposures) - number)
    return msgspec.structs.replace(
        step,
        better=step.better.extended(canary_contrasts(treated, value, step.share)),
        worse=step.worse.extended(canary_contrasts(~treated, value, 1.0 - step.share)),
        ratio=step.ratio + seen_so_far,
    )


class Claim(NamedTuple):
    """What a shopper's value is, by the live manifest: Y = (clip(sum of rewards, low, cap) - low)/(cap - low).

    Rewards are not shifted one by one: then a shopper who must come back more often would be worth more.
    """

    window: timedelta
    low: float
    cap: float

    @classmethod
    def of(cls, live: Manifest) -> "Claim":
        """As the live manifest declares it: never as the candidate's does."""
        rules, reward = live.rollout, live.reward
        hours = rules.canary_window_hours
        return cls(
            window=timedelta(seconds=reward.horizon_seconds) if hours is None else timedelta(hours=hours),
            low=min(reward.min, 0.0),
            cap=reward.max if rules.canary_reward_cap is None else rules.canary_reward_cap,
        )

    def scaled(self, total: float) -> float:
        """A shopper's sum as Y in [0, 1]."""
        return (min(max(total, self.low), self.cap) - self.low) / (self.cap - self.low)

    def improvement(self, live: Manifest) -> float:
        """The gate's least improvement, which is a share of one decision's range, on the scale of Y."""
        wanted = live.gate.minimum_improvement * (live.reward.max - live.reward.min)
        return min(wanted / (self.cap - self.low), _NEARLY_ALL)


def opened(began: datetime, live: Manifest) -> CanaryWatch:
    """A watch that has heard nothing."""
    return CanaryWatch(began=began, delta=Claim.of(live).improvement(live), after=lowest_id_at(began))


class Listening(NamedTuple):
    """Where a canary's shoppers are found.

    Attributes:
        revisions: Every revision of the roll-out with the promotion's canary in it, by number.
        promotion_id: Of the canary.
    """

    visits: Visits
    revisions: Mapping[int, Rollout]
    promotion_id: int
    ruler: Ruler

    def listen(self, watch: CanaryWatch, at: datetime) -> tuple[CanaryWatch, bool]:
        """The watch after the shoppers whose windows have closed, and whether there may be more at once.

        A shopper's window begins with the first decision since the canary began, about a defect type it is about.
        """
        live, latest = self.ruler.live, self.revisions[max(self.revisions)]
        claim, policy, defects = Claim.of(live), latest.policy, latest.canary_defects
        watermark = at - timedelta(seconds=live.reward.horizon_seconds) - claim.window
        reading = read(self.visits, policy, watch.after, watermark, lambda one: self._step(one) is not None)
        decisions = [visit.decision for visit in reading.rows]
        known = firsts(self.visits, policy, decisions, lambda _: watch.began, defects)
        exposed = [decision for decision in decisions if decision.decision_id in known]
        own = {visit.decision.decision_id: visit for visit in reading.rows}
        named = [decision for decision in exposed if decision.subject is not None]
        later = self.visits.following(named, claim.window, _MOST_DECISIONS - 1)
        exposures: list[Exposure] = []
        for decision in exposed:
            name = decision.decision_id
            window = [own[name], *(visit for visit in later.get(name, ()) if _about(defects, visit.decision))]
            if any(visit.close is None for visit in window):
                # Whoever was exposed later waits behind this shopper, whose window is not closed.
                before = DecisionId(UUID(int=decision.decision_id.int - 1))
                reading = reading._replace(after=before, until=decision.decided_at, more=False)
                break
            total = math.fsum(self.ruler.reward(visit) for visit in window if seen(visit))
            exposures.append(self._exposure(decision, claim.scaled(total)))
        heard = watch.hearing(exposures)
        return msgspec.structs.replace(heard, after=reading.after, until=reading.until or watch.until), reading.more

    def _step(self, decision: Decision) -> tuple[Canary, Arm] | None:
        """The step in which a decision counts; None where the canary does not concern it."""
        assignment = decision.assignment
        if assignment is None or assignment.arm not in (Arm.CANARY, Arm.LIVE):
            return None
        rollout = self.revisions.get(assignment.revision)
        if rollout is None or rollout.canary is None or not _about(rollout.canary_defects, decision):
            return None
        return rollout.canary, assignment.arm

    def _exposure(self, decision: Decision, value: float) -> Exposure:
        step = self._step(decision)
        if step is None:
            raise InvalidInput(f"/decisions/{decision.decision_id}", "is in none of the canary's steps")
        canary, arm = step
        return Exposure(
            since=canary.since,
            share=canary.split.share,
            treated=arm is Arm.CANARY,
            value=value,
            anonymous=decision.subject is None,
        )


def _about(defects: Collection[str], decision: Decision) -> bool:
    return not defects or decision.situation.defect.type in defects
