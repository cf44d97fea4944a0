"""Choose: from a request to the version that answers it, by override, arm or as it is live, and so to a decision."""

from collections.abc import Mapping
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
from cxi_bandit.engine.overriding import Overrides
from cxi_bandit.policy.arms import place
from cxi_bandit.policy.draw import DrawKey

SHADOW = "shadow"


class Keys(NamedTuple):
    """The secrets that a decision is made with."""

    draw: DrawKey
    subject: bytes


class Chosen(NamedTuple):
    """A decision, what was noticed on the way, and the version that answered."""

    decision: Decision
    dropped_features: int
    served: ServedPolicy


class ServedRollout:
    """A policy's roll-out as a worker serves it: every stand with its model. Immutable, like what it is made of."""

    def __init__(self, rollout: Rollout, served: Mapping[Stand, ServedPolicy]) -> None:
        self.rollout = rollout
        self.policy = rollout.policy
        self.served = served
        self.live = served[rollout.live]
        self._by_defect = {defect: served[stand] for defect, stand in rollout.by_defect.items()}
        self._plain = rollout.plain

    @property
    def defects(self) -> frozenset[str]:
        """The defect types it answers."""
        return frozenset(self.live.manifest.defects)

    def live_for(self, defect: str) -> ServedPolicy:
        """Who is live for a defect type."""
        return self._by_defect.get(defect, self.live)

    def answering(self, arm: Arm, defect: str) -> ServedPolicy:
        """Who answers an arm."""
        rollout = self.rollout
        if arm is Arm.CANARY and rollout.canary is not None:
            return self.served[rollout.canary.stand]
        if arm is Arm.PREVIOUS and rollout.previous is not None:
            return self.served[rollout.previous.stand]
        return self.live_for(defect)

    def choose(
        self,
        request: DecisionRequest,
        overrides: Overrides,
        decision_id: DecisionId,
        keys: Keys,
        request_id: UUID | None = None,
    ) -> Chosen:
        """Decides. Pure: the same arguments give the same decision.

        Raises:
            InvalidInput: Names the field at fault by JSON pointer.
        """
        live = self.live_for(request.defect.type)
        if self._plain and not overrides:
            admitted = admit(request, live)
            decision = decide(request, admitted, live, decision_id, keys.draw, keys.subject, request_id=request_id)
            return Chosen(decision, admitted.dropped_features, live)
        admitted = admit(request, live)
        at = minted_at(decision_id)
        pinned = overrides.of(request, self.policy, admitted.situation.eligible, at)
        if pinned is not None:
            drawn = certain(admitted.situation.eligible, pinned.intervention)
            assignment, served = None, live
        elif self._plain:
            drawn, assignment, served = None, None, live
        else:
            unit = decision_id.bytes if request.subject is None else pseudonym(keys.subject, request.subject)
            placed = place(self.rollout, request.defect.type, unit, at)
            served, admitted = self._admitted(request, placed.arm, live, admitted)
            drawn, baseline = self._drawn(request, placed.arm, served, admitted)
            assignment = Assignment(
                revision=self.rollout.revision,
                arm=placed.arm,
                share=placed.share,
                salt=placed.salt,
                beside=() if placed.arm is Arm.HOLD else self._beside(request, placed.arm, served, admitted),
                baseline=baseline,
            )
        decision = decide(
            request,
            admitted,
            served,
            decision_id,
            keys.draw,
            keys.subject,
            drawn=drawn,
            assignment=assignment,
            override_id=None if pinned is None else pinned.override_id,
            request_id=request_id,
        )
        return Chosen(decision, admitted.dropped_features, served)

    def _admitted(
        self, request: DecisionRequest, arm: Arm, live: ServedPolicy, admitted: Admitted
    ) -> tuple[ServedPolicy, Admitted]:
        """Who answers the arm, and the request held against its manifest.

        A request that the live version takes must be answered: where the arm's own refuses it, the live one does. The
        shopper stays in the arm, so that the comparison of arms stays one of the shoppers assigned to them.
        """
        served = self.answering(arm, request.defect.type)
        if served.version.manifest_sha == live.version.manifest_sha:
            return served, admitted
        try:
            return served, admit(request, served)
        except InvalidInput:
            return live, admitted

    def _drawn(
        self, request: DecisionRequest, arm: Arm, served: ServedPolicy, admitted: Admitted
    ) -> tuple[Distribution, InterventionId | None]:
        situation = admitted.situation
        if arm is Arm.HOLD:
            return certain(situation.eligible, HOLD), None
        if arm is Arm.LIVE and self.rollout.apprentice:
            baseline = request.baseline if request.baseline in situation.eligible else HOLD
            return imitation(served, situation, baseline), baseline
        return distribution(served, situation), None

    def _beside(
        self, request: DecisionRequest, arm: Arm, served: ServedPolicy, admitted: Admitted
    ) -> tuple[Beside, ...]:
        """What those who do not answer would have drawn from."""
        rollout = self.rollout
        others: list[tuple[str, ServedPolicy]] = []
        if arm is not Arm.LIVE:
            others.append((Arm.LIVE.value, self.live_for(request.defect.type)))
        if rollout.previous is not None and arm is not Arm.PREVIOUS:
            others.append((Arm.PREVIOUS.value, self.served[rollout.previous.stand]))
        about = not rollout.canary_defects or request.defect.type in rollout.canary_defects
        if rollout.canary is not None and arm is not Arm.CANARY and about:
            others.append((Arm.CANARY.value, self.served[rollout.canary.stand]))
        others += [(SHADOW, self.served[stand]) for stand in rollout.shadow]
        found = []
        for name, other in others:
            scored = _scored(request, name, other, served, admitted)
            if scored is not None:
                found.append(scored)
        return tuple(found)


def _scored(
    request: DecisionRequest, name: str, other: ServedPolicy, served: ServedPolicy, admitted: Admitted
) -> Beside | None:
    """The other's vector; None where its manifest refuses the request, and it would have drawn from nothing."""
    situation = admitted.situation
    if other.version.manifest_sha != served.version.manifest_sha:
        try:
            situation = admit(request, other).situation
        except InvalidInput:
            return None
    drawn = distribution(other, situation)
    return Beside(
        place=name,
        policy_version=other.version.version,
        model_version=drawn.model_version,
        probabilities=drawn.probabilities,
        eligible=None if situation.eligible == admitted.situation.eligible else situation.eligible,
    )
