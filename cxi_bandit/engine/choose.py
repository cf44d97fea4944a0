"""Choose: from a request to the version that answers it, by override, arm or as it is live, and so to a decision."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from cxi_bandit.domain.assignment import Arm, Assignment, Beside
from cxi_bandit.domain.decision import HOLD, Decision, DecisionRequest
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, minted_at
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.engine.beside import SHADOW, Panel, drawn_beside
from cxi_bandit.engine.decide import (
    Admitted,
    ServedPolicy,
    admit,
    certain,
    decide,
    distribution,
    pseudonym,
)
from cxi_bandit.engine.limiting import Bounds, Limiting, LineOf, Spending, without
from cxi_bandit.engine.overriding import Overrides, chooses
from cxi_bandit.engine.ports import PermitRequest
from cxi_bandit.policy.arms import Placed, Placement
from cxi_bandit.policy.draw import DrawKey

# A member of an enumeration takes a tenth of a microsecond to look up, each time.
_LIVE: Final = Arm.LIVE
_HOLD: Final = Arm.HOLD


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


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request as far as nothing that is limited changes it: who answers, and what the manifest leaves.

    Attributes:
        at: The decision's time.
        shopper: The pseudonym.
        live: Who is live for the defect type.
        admitted: The request held against the live version's manifest.
        pins: The overrides about it, in the order in which they choose.
        placed: Its arm; None where there is only the live one and nobody scores beside it.
        served: Who answers the arm.
        held: The request held against the manifest of the version that answers.
    """

    request: DecisionRequest
    decision_id: DecisionId
    at: datetime
    shopper: bytes | None
    live: ServedPolicy
    admitted: Admitted
    pins: Sequence[Override]
    placed: Placed | None
    served: ServedPolicy
    held: Admitted


class ServedRollout:
    """A policy's roll-out as a worker serves it: every stand with its model. Immutable, like what it is made of."""

    def __init__(self, rollout: Rollout, served: Mapping[Stand, ServedPolicy]) -> None:
        self.rollout = rollout
        self.policy = rollout.policy
        self.served = served
        self.live = served[rollout.live]
        self._by_defect = {defect: served[stand] for defect, stand in rollout.by_defect.items()}
        self._plain = rollout.plain
        self._placement = Placement(rollout)
        self._panels: dict[tuple[Arm, str, bool], Panel] = {}
        self._limiting = Limiting(rollout, served.values())
        self.capped = self._limiting.capped
        self.limited = self._limiting.limited
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

    def plainly(self, overrides: Overrides, at: datetime) -> bool:
        """Whether only the live version has a say: no arms, nobody beside, no limits, no override in force."""
        return self._short and not overrides.stand_at(at)

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

    def ask(self, request: DecisionRequest, overrides: Overrides, decision_id: DecisionId, keys: Keys) -> Asked:
        """Holds a request against the manifest and places its shopper; `permit_request` and `answer` go on from there.

        Raises:
            InvalidInput: Names the field at fault by JSON pointer.
        """
        defect, at = request.defect.type, minted_at(decision_id)
        live = served = self.live_for(defect)
        admitted = held = admit(request, live)
        shopper = None if request.subject is None else pseudonym(keys.subject, request.subject)
        pins = overrides.about(request, self.policy, at)
        placed = None
        if not self._plain:
            placed = self._placement.of(defect, decision_id.bytes if shopper is None else shopper, at)
            served, held = self._held(request, placed.arm, live, admitted)
        return Asked(request, decision_id, at, shopper, live, admitted, pins, placed, served, held)

    def permit_request(self, asked: Asked) -> PermitRequest | None:
        """What must be asked about the shopper before choosing; None where no cap is about what might be drawn."""
        if asked.shopper is None or not self.capped:
            return None
        served, eligible = asked.served, asked.held.situation.eligible
        pinned = chooses(asked.pins, asked.admitted.situation.eligible) if asked.pins else None
        if pinned is not None:
            if pinned.intervention == HOLD:
                return None
            served, eligible = asked.live, asked.admitted.situation.eligible
        elif asked.placed is not None and asked.placed.arm is _HOLD:
            return None
        if served.caps is None:
            return None
        wanted = served.caps.about.intersection(eligible)
        if not wanted:
            return None
        return PermitRequest(asked.decision_id, self.policy, asked.shopper, asked.at, served.caps, wanted)

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
        if self.plainly(overrides, minted_at(decision_id)):
            live = self.live_for(request.defect.type)
            admitted = admit(request, live)
            decision = decide(request, admitted, live, decision_id, keys.draw, keys.subject, request_id=request_id)
            return Chosen(decision, admitted.dropped_features, live)
        return self.answer(self.ask(request, overrides, decision_id, keys), keys, request_id, bounds)

    def answer(self, asked: Asked, keys: Keys, request_id: UUID | None = None, bounds: Bounds | None = None) -> Chosen:
        """As `choose`, for what was asked."""
        request, override_id, assignment = asked.request, None, None
        pinned, admitted = self._pinned(asked, bounds) if asked.pins else (None, asked.admitted)
        if pinned is not None:
            override_id, arm, served = pinned.override_id, _LIVE, asked.live
            allowance = self._limiting.allowance(arm, served, asked.at)
            drawn = certain(admitted.situation.eligible, pinned.intervention)
        else:
            placed, served = asked.placed, asked.served
            arm = _LIVE if placed is None else placed.arm
            allowance = self._limiting.allowance(arm, served, asked.at)
            withheld = allowance.withheld(request, bounds)
            admitted = without(asked.held, withheld)
            if placed is None:
                admitted, drawn = allowance.affordable(partial(distribution, served), admitted, bounds)
            elif arm is _HOLD:
                drawn = certain(admitted.situation.eligible, HOLD)
                assignment = self._assignment(placed)
            else:
                ruled = admitted.situation.eligible
                panel = self._panel(arm, asked)
                admitted, drawn, others, baseline = drawn_beside(request, served, panel, allowance, admitted, bounds)
                if not panel.alike and admitted.situation.eligible != ruled:
                    dear = {name: admitted.excluded[name] for name in ruled if name in admitted.excluded}
                    withheld = {**withheld, **dear}
                beside = panel.beside(request, admitted, withheld, others)
                assignment = self._assignment(placed, beside, baseline)
        decision = decide(
            request,
            admitted,
            served,
            asked.decision_id,
            keys.draw,
            keys.subject,
            shopper=asked.shopper,
            drawn=drawn,
            assignment=assignment,
            override_id=override_id,
            request_id=request_id,
        )
        spendings = allowance.spendings(decision, drawn=pinned is None) if self.limited else ()
        return Chosen(decision, admitted.dropped_features, served, spendings)

    def _held(
        self, request: DecisionRequest, arm: Arm, live: ServedPolicy, admitted: Admitted
    ) -> tuple[ServedPolicy, Admitted]:
        """Who answers the arm, and the request held against its manifest.

        A request that the live version takes must be answered: where the arm's own refuses it, the live one does. The
        shopper stays in the arm, so that the comparison of arms stays one of the shoppers assigned to them.
        """
        if arm is _LIVE or arm is _HOLD:
            return live, admitted
        served = self.answering(arm, request.defect.type)
        if served.version.manifest_sha == live.version.manifest_sha:
            return served, admitted
        try:
            return served, admit(request, served)
        except InvalidInput:
            return live, admitted

    def _pinned(self, asked: Asked, bounds: Bounds | None) -> tuple[Override | None, Admitted]:
        """The override that chooses among what is left to the live version, and the request with as much to draw."""
        allowance = self._limiting.allowance(_LIVE, asked.live, asked.at)
        admitted = without(asked.admitted, allowance.withheld(asked.request, bounds))
        return chooses(asked.pins, admitted.situation.eligible), admitted

    def _assignment(
        self, placed: Placed, beside: tuple[Beside, ...] = (), baseline: InterventionId | None = None
    ) -> Assignment:
        arm, share, salt = placed
        return Assignment(
            revision=self.rollout.revision, arm=arm, share=share, salt=salt, beside=beside, baseline=baseline
        )

    def _panel(self, arm: Arm, asked: Asked) -> Panel:
        """Who scores beside an arm's own version, or beside the live one where that refused the request."""
        defect = asked.request.defect.type
        key = (arm, defect, asked.served is asked.live)
        found = self._panels.get(key)
        if found is None:
            others = self._others(arm, defect)
            found = self._panels[key] = Panel(arm, asked.served, others, apprentice=self.rollout.apprentice)
        return found

    def _others(self, arm: Arm, defect: str) -> list[tuple[str, ServedPolicy]]:
        """Who scores beside an arm, for a defect type of the manifest."""
        rollout = self.rollout
        others: list[tuple[str, ServedPolicy]] = []
        if arm is not _LIVE:
            others.append((Arm.LIVE.value, self.live_for(defect)))
        if rollout.previous is not None and arm is not Arm.PREVIOUS:
            others.append((Arm.PREVIOUS.value, self.served[rollout.previous.stand]))
        about = not rollout.canary_defects or defect in rollout.canary_defects
        if rollout.canary is not None and arm is not Arm.CANARY and about:
            others.append((Arm.CANARY.value, self.served[rollout.canary.stand]))
        return others + [(SHADOW, self.served[stand]) for stand in rollout.shadow]
