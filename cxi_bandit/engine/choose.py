"""Choose: from a request to the version that answers it, by override, arm or as it is live, and so to a decision."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from cxi_bandit.domain.assignment import Arm, Assignment, Beside
from cxi_bandit.domain.decision import HOLD, Decision, DecisionRequest
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, minted_at
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.engine.decide import (
    Admitted,
    Distribution,
    ServedPolicy,
    admit,
    certain,
    decide,
    distribution,
    imitation,
    pseudonym,
)
from cxi_bandit.engine.limiting import Bounds, Limiting, LineOf, Spending
from cxi_bandit.engine.overriding import Overrides
from cxi_bandit.engine.ports import PermitRequest
from cxi_bandit.policy.arms import place
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.policy.eligibility import Withheld

SHADOW = "shadow"


class Keys(NamedTuple):
    """The secrets that a decision is made with."""

    draw: DrawKey
    subject: bytes


class Chosen(NamedTuple):
    """A decision, what was noticed on the way, who answered, and what it takes of the budgets."""

    decision: Decision
    dropped_features: int
    served: ServedPolicy
    spendings: tuple[Spending, ...] = ()


class ServedRollout:
    """A policy's roll-out as a worker serves it: every stand with its model. Immutable, like what it is made of."""

    def __init__(self, rollout: Rollout, served: Mapping[Stand, ServedPolicy]) -> None:
        self.rollout = rollout
        self.policy = rollout.policy
        self.served = served
        self.live = served[rollout.live]
        self._by_defect = {defect: served[stand] for defect, stand in rollout.by_defect.items()}
        self._plain = rollout.plain
        self._others: dict[tuple[Arm, str], list[tuple[str, ServedPolicy]]] = {}
        self._limiting = Limiting(rollout, served.values())
        self.capped = self._limiting.capped
        self.limited = self.capped or self._limiting.budgeted
        self._short = self._plain and not self.limited

    @property
    def defects(self) -> frozenset[str]:
        """The defect types it answers."""
        return frozenset(self.live.manifest.defects)

    def live_for(self, defect: str) -> ServedPolicy:
        """Who is live for a defect type."""
        return self._by_defect.get(defect, self.live)

    def answering(self, arm: Arm, defect: str) -> ServedPolicy:
        """Who answers an arm."""
        return self.served[self.rollout.answering(arm, defect)]

    def lines(self) -> list[LineOf]:
        """The budgets that its arms spend, of each the version that answers it and those that do where it cannot."""
        rollout = self.rollout
        live = [self.live.version.version, *[served.version.version for served in self._by_defect.values()]]
        answering = {Arm.LIVE: live}
        if rollout.canary is not None:
            answering[Arm.CANARY] = [rollout.canary.stand.version, *live]
        if rollout.previous is not None:
            answering[Arm.PREVIOUS] = [rollout.previous.stand.version, *live]
        return self._limiting.lines(answering)

    def permit_request(
        self, request: DecisionRequest, overrides: Overrides, decision_id: DecisionId, keys: Keys
    ) -> PermitRequest | None:
        """What must be asked about the shopper before choosing; None where no cap is about what might be drawn.

        Raises:
            InvalidInput: Names the field at fault by JSON pointer.
        """
        live, at = self.live_for(request.defect.type), minted_at(decision_id)
        if request.subject is None or not self.capped:
            return None
        subject = pseudonym(keys.subject, request.subject)
        admitted = admit(request, live)
        pinned = overrides.of(request, self.policy, admitted.situation.eligible, at)
        served = live
        if pinned is not None:
            if pinned.intervention == HOLD:
                return None
        else:
            arm = Arm.LIVE if self._plain else place(self.rollout, request.defect.type, subject, at).arm
            if arm is Arm.HOLD:
                return None
            served, admitted = self._admitted(request, arm, live, admitted, None, at)
        if served.caps is None:
            return None
        wanted = served.caps.about.intersection(admitted.situation.eligible)
        if not wanted:
            return None
        return PermitRequest(decision_id, self.policy, subject, at, served.caps, wanted)

    def choose(
        self,
        request: DecisionRequest,
        overrides: Overrides,
        decision_id: DecisionId,
        keys: Keys,
        request_id: UUID | None = None,
        bounds: Bounds | None = None,
    ) -> Chosen:
        """Decides. Pure: the same arguments, and the same left on lease, give the same decision.

        Args:
            bounds: What is left of budgets and caps; None limits nothing.

        Raises:
            InvalidInput: Names the field at fault by JSON pointer.
        """
        live, at = self.live_for(request.defect.type), minted_at(decision_id)
        if self._short and not overrides.stand_at(at):
            admitted = admit(request, live)
            decision = decide(request, admitted, live, decision_id, keys.draw, keys.subject, request_id=request_id)
            return Chosen(decision, admitted.dropped_features, live)
        withheld = self._limiting.withheld(request, Arm.LIVE, live, bounds, at)
        admitted = admit(request, live, withheld)
        pinned = overrides.of(request, self.policy, admitted.situation.eligible, at)
        arm, served, assignment = Arm.LIVE, live, None
        shopper = None if request.subject is None else pseudonym(keys.subject, request.subject)
        if pinned is not None:
            drawn = certain(admitted.situation.eligible, pinned.intervention)
        elif self._plain:
            admitted, drawn, _ = self._drawn(request, arm, live, admitted, bounds, at)
        else:
            unit = decision_id.bytes if shopper is None else shopper
            placed = place(self.rollout, request.defect.type, unit, at)
            arm = placed.arm
            served, admitted = self._admitted(request, arm, live, admitted, bounds, at)
            ruled = admitted.situation.eligible
            admitted, drawn, baseline = self._drawn(request, arm, served, admitted, bounds, at)
            if bounds is not None:
                if arm is not Arm.LIVE:
                    withheld = self._limiting.withheld(request, arm, served, bounds, at)
                dear = {name: admitted.excluded[name] for name in ruled if name in admitted.excluded}
                withheld = {**withheld, **dear}
            assignment = Assignment(
                revision=self.rollout.revision,
                arm=arm,
                share=placed.share,
                salt=placed.salt,
                beside=() if arm is Arm.HOLD else self._beside(request, arm, served, admitted, withheld),
                baseline=baseline,
            )
        decision = decide(
            request,
            admitted,
            served,
            decision_id,
            keys.draw,
            keys.subject,
            shopper=shopper,
            drawn=drawn,
            assignment=assignment,
            override_id=None if pinned is None else pinned.override_id,
            request_id=request_id,
        )
        spendings = self._limiting.spendings(decision, arm, served, drawn=pinned is None) if self.limited else ()
        return Chosen(decision, admitted.dropped_features, served, spendings)

    def _admitted(
        self,
        request: DecisionRequest,
        arm: Arm,
        live: ServedPolicy,
        admitted: Admitted,
        bounds: Bounds | None,
        at: datetime,
    ) -> tuple[ServedPolicy, Admitted]:
        """Who answers the arm, and the request held against its manifest and what is left of its part.

        A request that the live version takes must be answered: where the arm's own refuses it, the live one does. The
        shopper stays in the arm, so that the comparison of arms stays one of the shoppers assigned to them.
        """
        served = self.answering(arm, request.defect.type)
        if served.version.manifest_sha == live.version.manifest_sha and (bounds is None or arm is Arm.LIVE):
            return served, admitted
        try:
            return served, admit(request, served, self._limiting.withheld(request, arm, served, bounds, at))
        except InvalidInput:
            if bounds is None:
                return live, admitted
            return live, admit(request, live, self._limiting.withheld(request, arm, live, bounds, at))

    def _drawn(
        self,
        request: DecisionRequest,
        arm: Arm,
        served: ServedPolicy,
        admitted: Admitted,
        bounds: Bounds | None,
        at: datetime,
    ) -> tuple[Admitted, Distribution, InterventionId | None]:
        """The vector of an arm, over what can be paid for, and the baseline where it imitates one."""
        eligible = admitted.situation.eligible
        if arm is Arm.HOLD:
            return admitted, certain(eligible, HOLD), None
        baseline: InterventionId | None = None
        draw_from = partial(distribution, served)
        if arm is Arm.LIVE and self.rollout.apprentice:
            baseline = _imitated(request, eligible)
            draw_from = partial(imitation, served, baseline=baseline)
        admitted, drawn = self._limiting.affordable(draw_from, arm, served, admitted, bounds, at)
        return admitted, drawn, baseline

    def _beside(
        self, request: DecisionRequest, arm: Arm, served: ServedPolicy, admitted: Admitted, withheld: Withheld
    ) -> tuple[Beside, ...]:
        """What those who do not answer would have drawn from, were the same withheld from them."""
        asked = (arm, request.defect.type)
        others = self._others.get(asked)
        if others is None:
            others = self._others[asked] = self._besides(*asked)
        found = []
        for name, other in others:
            imitates = self.rollout.apprentice and name == Arm.LIVE.value
            scored = _scored(request, name, other, served, admitted, withheld, imitates=imitates)
            if scored is not None:
                found.append(scored)
        return tuple(found)

    def _besides(self, arm: Arm, defect: str) -> list[tuple[str, ServedPolicy]]:
        """Who scores beside an arm, for a defect type of the manifest."""
        rollout = self.rollout
        others: list[tuple[str, ServedPolicy]] = []
        if arm is not Arm.LIVE:
            others.append((Arm.LIVE.value, self.live_for(defect)))
        if rollout.previous is not None and arm is not Arm.PREVIOUS:
            others.append((Arm.PREVIOUS.value, self.served[rollout.previous.stand]))
        about = not rollout.canary_defects or defect in rollout.canary_defects
        if rollout.canary is not None and arm is not Arm.CANARY and about:
            others.append((Arm.CANARY.value, self.served[rollout.canary.stand]))
        return others + [(SHADOW, self.served[stand]) for stand in rollout.shadow]


def _imitated(request: DecisionRequest, eligible: tuple[InterventionId, ...]) -> InterventionId:
    """What an apprentice imitates: the caller's own choice, or `hold` where it has none that may be drawn."""
    return HOLD if request.baseline is None or request.baseline not in eligible else request.baseline


def _scored(
    request: DecisionRequest,
    name: str,
    other: ServedPolicy,
    served: ServedPolicy,
    admitted: Admitted,
    withheld: Withheld,
    *,
    imitates: bool,
) -> Beside | None:
    """The other's vector; None where its manifest refuses the request, and it would have drawn from nothing."""
    situation = admitted.situation
    if other.version.manifest_sha != served.version.manifest_sha:
        try:
            situation = admit(request, other, withheld).situation
        except InvalidInput:
            return None
    if imitates:
        drawn = imitation(other, situation, _imitated(request, situation.eligible))
    else:
        drawn = distribution(other, situation)
    return Beside(
        place=name,
        policy_version=other.version.version,
        model_version=drawn.model_version,
        probabilities=drawn.probabilities,
        eligible=None if situation.eligible == admitted.situation.eligible else situation.eligible,
    )
