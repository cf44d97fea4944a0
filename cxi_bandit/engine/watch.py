"""Watch: what looks after a policy's roll-out, and acts: the next step, live, or back. One turn at a time.

A turn reads what has closed since the last one, keeps what it makes of it, and only then acts. A turn that ends between
the two leaves an alarm that the next one finds; the verbs are fenced, so that nothing is done twice.
"""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.errors import RolloutConflict
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.promotion import Step
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Canary
from cxi_bandit.engine import watch_canary, watch_guard, watch_live
from cxi_bandit.engine.override import halt
from cxi_bandit.engine.promote import go_live, next_step
from cxi_bandit.engine.rollback import live_before, roll_back
from cxi_bandit.engine.watch_canary import CanaryWatch
from cxi_bandit.engine.watch_guard import GuardWatch
from cxi_bandit.engine.watch_live import Comparison, LiveWatch
from cxi_bandit.engine.watch_ruling import Bar, Move, Ruling, ruling
from cxi_bandit.engine.watch_status import Line, canary_lines, guard_lines, live_line
from cxi_bandit.engine.watch_view import (
    Kept,
    View,
    WatchPorts,
    answers,
    canary_alpha,
    canary_name,
    guard_name,
    live_name,
    viewed,
)

BY: Final = "watch"
"""Who acts, in the audit trail."""

_READS: Final = 8
"""Most reads of a turn and watch: a long backlog is worked off over many turns, between which others have theirs."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something a watch did.

    Attributes:
        action: `next_step`, `go_live`, `roll_back`, `halt`, or `tell` where there was nothing that could be done.
        code: Why, for machines: `canary_better`, `canary_worse`, `sample_ratio`, `step_over`, `live_worse`,
            `worse_than_hold`, `guardrail_<harm>`.
        reason: Why, in a sentence.
    """

    policy: PolicyName
    action: str
    code: str
    reason: str


class Turn(NamedTuple):
    """What one turn found and did.

    Attributes:
        canary_shoppers: The canary's shoppers heard so far; None without a canary.
        more: Whether there is more to read at once.
    """

    lines: tuple[Line, ...] = ()
    acts: tuple[Act, ...] = ()
    canary_shoppers: int | None = None
    more: bool = False

    def after(self, earlier: "Turn") -> "Turn":
        """This part of a turn behind an earlier one."""
        return Turn(
            (*earlier.lines, *self.lines),
            (*earlier.acts, *self.acts),
            earlier.canary_shoppers if self.canary_shoppers is None else self.canary_shoppers,
            earlier.more or self.more,
        )


class Watcher:
    """Watches roll-outs. Several may: whoever keeps a sitting first has made it, and the others look again."""

    def __init__(self, ports: WatchPorts) -> None:
        self._ports = ports
        self._views: dict[PolicyName, View] = {}

    def turn(self, policy: PolicyName, at: datetime) -> Turn:
        """Reads, keeps, acts; no more than once, since the next act is on another roll-out.

        Raises:
            RolloutConflict: Another one watched, or somebody changed the roll-out, meanwhile: look again.
            Unavailable: The store is away; nothing is lost.
        """
        view = self._view(policy)
        guarded = bool(view.live.rollout.guardrails)
        canary, against = view.rollout.canary, view.against
        turn = Turn()
        if guarded:
            turn = self._guard(view, None, at)
        if against is not None and not turn.acts:
            turn = self._live(view, against, at).after(turn)
        if canary is not None and guarded and not turn.acts:
            turn = self._guard(view, canary, at).after(turn)
        if canary is not None and not turn.acts:
            turn = self._canary(view, canary, at).after(turn)
        return turn

    def _canary(self, view: View, canary: Canary, at: datetime) -> Turn:
        promotion = self._ports.releases.promotion(canary.promotion_id)
        revisions = view.with_canary(canary.promotion_id)
        listening = watch_canary.Listening(self._ports.visits, revisions, canary.promotion_id, view.ruler)
        watch, more = self._sit(
            view.rollout.policy,
            canary_name(canary.promotion_id),
            CanaryWatch,
            lambda: watch_canary.opened(revisions[min(revisions)].made_at, view.live),
            lambda known: listening.listen(known, at),
        )
        threshold = -math.log(canary_alpha(promotion, self._ports, view.live))
        ruled = ruling(watch, canary, promotion.canary_step, Bar(threshold, view.live.rollout), at)
        heard = Turn(canary_lines(watch, threshold), (), watch.shoppers[0], more)
        # What is behind is heard before a step is taken; harm is not waited for.
        if ruled.move is Move.WAIT or (more and ruled.move is not Move.ROLL_BACK):
            return heard
        self._move(view, canary, ruled, _told(ruled.code, heard.lines), at)
        act = Act(policy=view.rollout.policy, action=ruled.move.value, code=ruled.code, reason=ruled.reason)
        return Turn(acts=(act,)).after(heard)

    def _move(self, view: View, canary: Canary, ruled: Ruling, evidence: dict[str, str], at: datetime) -> None:
        registry, releases, manifests = self._ports.registry, self._ports.releases, self._ports.manifests
        promotion, why = releases.promotion(canary.promotion_id), ruled.reason
        if releases.rollout(view.rollout.policy) != view.rollout:
            raise RolloutConflict(
                f"revision {view.rollout.revision} of {view.rollout.policy} was overtaken: look again"
            )
        if ruled.move is Move.ROLL_BACK:
            roll_back(view.rollout, None, releases, by=BY, at=at, reason=why, evidence=evidence)
        elif ruled.move is Move.NEXT_STEP:
            next_step(promotion, view.live.rollout, releases, by=BY, at=at, reason=why, evidence=evidence)
        else:
            go_live(promotion, registry, releases, manifests, by=BY, at=at, reason=why, evidence=evidence)

    def _live(self, view: View, against: Comparison, at: datetime) -> Turn:
        policy, name, alarm_at = view.rollout.policy, live_name(view.origin), view.live.rollout.alarm_at
        listening = watch_live.Listening(self._ports.visits, view.since_live, view.ruler)
        watch, more = self._sit(
            policy,
            name,
            LiveWatch,
            lambda: watch_live.opened(view.origin.made_at, against, self._promoted(view), view.answering, alarm_at),
            lambda known: listening.listen(known, at),
        )
        line = live_line(watch)
        heard = Turn((line,), more=more)
        if not watch.alarmed:
            return heard
        previous = against.arm is Arm.PREVIOUS
        worse = "the policy before it" if previous else "leaving shoppers alone"
        reason = f"what is live does worse than {worse}: the detector passed {alarm_at:g} after {watch.units} shoppers"
        code = "live_worse" if previous else "worse_than_hold"
        act = self._taken_back(view, code, reason, line, at)
        if act.action != "roll_back":
            self._keep(policy, name, watch.afresh())
        return Turn(acts=(act,)).after(heard)

    def _guard(self, view: View, canary: Canary | None, at: datetime) -> Turn:
        rollout, arm = view.rollout, Arm.LIVE if canary is None else Arm.CANARY
        revisions = view.since_live if canary is None else view.with_canary(canary.promotion_id)
        name = guard_name(view.origin, canary)
        listening = watch_guard.Listening(self._ports.visits, revisions, view.live, self._ports.manifests)
        watch, more = self._sit(
            rollout.policy,
            name,
            GuardWatch,
            lambda: watch_guard.opened(revisions[min(revisions)].made_at, arm, view.live),
            lambda known: listening.listen(known, at),
        )
        heard = Turn(guard_lines(watch), more=more)
        harm = watch.alarmed
        if harm is None:
            return heard
        line = next(line for harmed, line in zip(watch.detectors, heard.lines, strict=True) if harmed == harm)
        bound = next(one.bound for one in view.live.rollout.guardrails if one.metric == harm)
        reason = f"the mean of {harm} in the {arm.value} arm exceeds {bound:g}, found after {line.units} shoppers"
        code = f"guardrail_{harm}"
        if canary is not None:
            self._move(view, canary, Ruling(Move.ROLL_BACK, code, reason), _told(code, (line,)), at)
            act = Act(policy=rollout.policy, action="roll_back", code=code, reason=reason)
            return Turn(acts=(act,)).after(heard)
        act = self._taken_back(view, code, reason, line, at)
        if act.action != "roll_back":
            halt(rollout.policy, BY, reason, self._ports.releases, at)
            act = msgspec.structs.replace(act, action="halt")
            self._keep(rollout.policy, name, watch.afresh())
        return Turn(acts=(act,)).after(heard)

    def _taken_back(self, view: View, code: str, reason: str, line: Line, at: datetime) -> Act:
        """What is live is taken back, and a running canary with it; where nothing was live before, the trail says so.

        Then a canary goes on: it may be what does better. Else, as a rollback ends a running canary and leaves what is
        live, it is asked for once more.
        """
        releases, policy = self._ports.releases, view.rollout.policy
        evidence = _told(code, (line,))
        if live_before(view.history) is None:
            detail = {"reason": f"{reason}; nothing was live before", **evidence}
            self._ports.registry.note(AuditEntry(at=at, actor=BY, action="alarm", policy=policy, detail=detail))
            return Act(policy=policy, action="tell", code=code, reason=reason)
        following = roll_back(view.rollout, None, releases, by=BY, at=at, reason=reason, evidence=evidence)
        if answers(following) == answers(view.rollout):
            roll_back(following, None, releases, by=BY, at=at, reason=reason, evidence=evidence)
        return Act(policy=policy, action="roll_back", code=code, reason=reason)

    def _promoted(self, view: View) -> int | None:
        """The promotion that made live what is live."""
        for promotion in reversed(self._ports.releases.promotions(view.rollout.policy)):
            if promotion.step is Step.LIVE and promotion.changed_at == view.origin.made_at:
                return promotion.promotion_id
        return None

    def _sit(
        self,
        policy: PolicyName,
        name: str,
        kind: type[Kept],
        opened: Callable[[], Kept],
        listen: Callable[[Kept], tuple[Kept, bool]],
    ) -> tuple[Kept, bool]:
        """One sitting: what was kept, after what has closed since, kept again where that is anything."""
        last = self._ports.releases.watch(policy, name)
        sitting, before = (0, opened()) if last is None else (last[0], msgspec.json.decode(last[1], type=kind))
        watch, more = before, True
        for _ in range(_READS):
            watch, more = listen(watch)
            if not more:
                break
        if watch != before or last is None:
            self._ports.releases.keep_watch(policy, name, sitting + 1, msgspec.json.encode(watch).decode())
        return watch, more

    def _keep(self, policy: PolicyName, name: str, watch: LiveWatch | GuardWatch) -> None:
        last = self._ports.releases.watch(policy, name)
        sitting = 0 if last is None else last[0]
        self._ports.releases.keep_watch(policy, name, sitting + 1, msgspec.json.encode(watch).decode())

    def _view(self, policy: PolicyName) -> View:
        """Read anew only when there is a new revision: the past of a roll-out never changes."""
        newest = self._ports.releases.rollout(policy)
        known = self._views.get(policy)
        if known is None or known.rollout != newest:
            known = viewed(policy, self._ports.releases, self._ports.registry, self._ports.manifests)
            self._views[policy] = known
        return known


def _told(code: str, lines: tuple[Line, ...]) -> dict[str, str]:
    """The evidence of an act, for its audit line."""
    told = {"code": code}
    for line in lines:
        told[f"{line.watch}.log_e"] = "" if line.log_e is None else f"{line.log_e:.6g}"
        told[f"{line.watch}.log_threshold"] = f"{line.log_threshold:.6g}"
        told[f"{line.watch}.shoppers"] = str(line.units)
    return told
