"""Placement: who was to answer a decision, again from the roll-out it names or the pin that chose for it."""

from cxi_bandit.domain.assignment import Assignment
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.ports import Releases
from cxi_bandit.policy.arms import Placement


class Placements:
    """Remembers the past of roll-outs, which never changes, so that a whole log is cheap."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self._histories: dict[PolicyName, list[tuple[Rollout, Placement]]] = {}
        self._overrides: dict[int, Override] = {}

    def holds(self, decision: Decision) -> bool:
        """Whether arm, share, salt and the version that answered, or the pin, are those that must have been.

        What a policy answers that has nobody beside its live version logs no arm, and there is nothing to place.
        """
        if decision.override_id is not None:
            return decision.assignment is None and self._pinned(decision, decision.override_id)
        return decision.assignment is None or self._placed(decision, decision.assignment)

    def _pinned(self, decision: Decision, override_id: int) -> bool:
        if override_id not in self._overrides:
            self._overrides = {one.override_id: one for one in self._releases.overrides(standing=False)}
        found = self._overrides.get(override_id)
        return (
            found is not None
            and found.intervention == decision.intervention
            and found.policy in (None, decision.policy)
            and found.defect in (None, decision.situation.defect.type)
            and (found.expires_at is None or decision.decided_at < found.expires_at)
        )

    def _placed(self, decision: Decision, assignment: Assignment) -> bool:
        known = self._rolled_out(decision.policy, assignment.revision)
        if known is None:
            return False
        rollout, placement = known
        defect = decision.situation.defect.type
        unit = decision.decision_id.bytes if decision.subject is None else decision.subject
        placed = placement.of(defect, unit, decision.decided_at)
        # A request that the arm's own version refuses is answered by the live one, in the same arm.
        versions = {stand.version for stand in (rollout.answering(placed.arm, defect), rollout.live_for(defect))}
        same = (assignment.arm, assignment.share, assignment.salt) == placed
        return same and decision.policy_version in versions

    def _rolled_out(self, policy: PolicyName, revision: int) -> tuple[Rollout, Placement] | None:
        known = self._histories.get(policy, [])
        if revision > len(known):
            past = [(rollout, Placement(rollout)) for rollout in self._releases.history(policy)]
            known = self._histories[policy] = past
        return known[revision - 1] if 1 <= revision <= len(known) else None
