"""Roll back: a canary is ended, or what was live before is live again; at once, and for no evidence but a reason."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.errors import NotFound, RolloutConflict, WrongStep
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.promotion import Promotion, Step
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.candidacy import same, without
from cxi_bandit.engine.ports import Releases

_NO_EVIDENCE: Final[Mapping[str, str]] = {}


def roll_back(
    seen: Rollout,
    to: int | None,
    releases: Releases,
    *,
    by: str,
    at: datetime,
    reason: str,
    evidence: Mapping[str, str] = _NO_EVIDENCE,
) -> Rollout:
    """Ends a running canary; without one, takes up again what was live before the present live versions were.

    Args:
        seen: The roll-out that whoever asks has looked at. What a rollback does depends on what stands, so that two who
            mean the same canary must not take back what is live as well.
        to: The revision whose live versions are taken up instead; a running canary ends all the same.
        evidence: What the audit line tells of it.

    Raises:
        NotFound: There is no such revision of the policy.
        WrongStep: Nothing was live before, or the revision was itself taken back: going forward to it needs a report.
        RolloutConflict: Somebody changed the roll-out meanwhile, or others answer than in `seen`; nothing was written.
    """
    policy = seen.policy
    present = releases.rollout(policy)
    if _answering(present) != _answering(seen):
        raise RolloutConflict(
            f"since revision {seen.revision} of {policy} others answer: look again before rolling back"
        )
    if to is None and present.canary is None:
        target = live_before(releases.history(policy))
        if target is None:
            raise WrongStep(f"nothing was live before on {policy}; `halt` sends everything to hold")
    else:
        target = present if to is None else revision_of(policy, to, releases)
        if to is not None and not _led_here(target, releases.history(policy)):
            raise WrongStep(f"what was live in revision {to} of {policy} was taken back since; propose it again")
    changed = _live(target) != _live(present)
    following = present.following(
        by,
        at,
        reason,
        live=target.live,
        by_defect=target.by_defect,
        apprentice=target.apprentice if changed else present.apprentice,
        previous=target.previous if changed else present.previous,
        canary=None,
        canary_defects=(),
        shadow=without(present.shadow, target.live, *target.by_defect.values()),
        restores=target.revision if changed else None,
    )
    undone = _undone(present, following, releases)
    detail = {"revision": str(following.revision), "from": _told(present), "to": _told(following), "reason": reason}
    if undone is not None:
        detail["promotion"] = str(undone.promotion_id)
    entry = AuditEntry(at=at, actor=by, action="rollback", policy=policy, detail=detail | dict(evidence))
    if undone is None:
        releases.roll_out(following, entry)
    else:
        ended = msgspec.structs.replace(undone, step=Step.ROLLED_BACK, reason=reason, changed_at=at)
        releases.roll_out(following, entry, ended, undone)
    return following


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rollback of everything.

    Attributes:
        made: The new revisions.
        untouched: Policies of which nothing was live before.
    """

    made: list[Rollout]
    untouched: list[PolicyName]


def roll_back_all(releases: Releases, *, by: str, at: datetime, reason: str) -> RolledBack:
    """Rolls back every policy, each by itself: one that cannot be keeps no other from it."""
    made, untouched = [], []
    for seen in releases.rollouts():
        try:
            made.append(_looked_at_again(seen, releases, by=by, at=at, reason=reason))
        except WrongStep:
            untouched.append(seen.policy)
    return RolledBack(made=made, untouched=untouched)


def _looked_at_again(seen: Rollout, releases: Releases, *, by: str, at: datetime, reason: str) -> Rollout:
    return looking_again(lambda: roll_back(seen, None, releases, by=by, at=at, reason=reason))


def revision_of(policy: PolicyName, revision: int | None, releases: Releases) -> Rollout:
    """A revision of a policy's roll-out; None for the one that stands.

    Raises:
        NotFound: There is no such policy, or no such revision of it.
    """
    if revision is None:
        return releases.rollout(policy)
    history = releases.history(policy)
    if not 1 <= revision <= len(history):
        raise NotFound("roll-out", f"{policy} revision {revision}")
    return history[revision - 1]


def live_before(history: Sequence[Rollout]) -> Rollout | None:
    """The last roll-out before the one that first made live what is live now; undone ones are passed over."""
    return next((one for one in _line(history) if _live(one) != _live(history[-1])), None)


def _led_here(target: Rollout, history: Sequence[Rollout]) -> bool:
    """Whether what was live in it is, or was replaced by promotions alone until it came to what is."""
    return any(_live(one) == _live(target) for one in _line(history))


def _line(history: Sequence[Rollout]) -> Iterator[Rollout]:
    """The roll-outs that led to the last one, newest first. What a rollback took back is passed over."""
    index = len(history) - 1
    while index >= 0:
        yield history[index]
        restored = history[index].restores
        index = index - 1 if restored is None else restored - 1


def _live(rollout: Rollout) -> tuple[Stand, dict[str, Stand], bool]:
    return rollout.live, rollout.by_defect, rollout.apprentice


def _answering(rollout: Rollout) -> tuple[object, ...]:
    """Who answers. A canary's next step makes no difference, nor does a shadow."""
    return *_live(rollout), None if rollout.canary is None else rollout.canary.promotion_id


def _undone(present: Rollout, following: Rollout, releases: Releases) -> Promotion | None:
    """The promotion that this takes back: the one at its canary, or the last that made live what is so no more."""
    if present.canary is not None:
        return releases.promotion(present.canary.promotion_id)
    left = {present.live, *present.by_defect.values()} - {following.live, *following.by_defect.values()}
    for promotion in reversed(releases.promotions(present.policy)):
        stand = Stand(version=promotion.version, model=promotion.model)
        if promotion.step is Step.LIVE and any(same(stand, other) for other in left):
            return promotion
    return None


def _told(rollout: Rollout) -> str:
    """Who answers, in words, for the audit trail."""
    stands = {"live": rollout.live} | rollout.by_defect
    if rollout.canary is not None:
        stands["canary"] = rollout.canary.stand
    return ", ".join(f"{name}: {_named(stand)}" for name, stand in stands.items())


def _named(stand: Stand) -> str:
    if stand.follows_head:
        return f"version {stand.version}, its newest model"
    return f"version {stand.version}, {'cold start' if stand.model is None else f'model {stand.model}'}"
