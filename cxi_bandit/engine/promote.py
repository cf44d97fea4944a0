"""Promote: a candidate goes from a passing report to the shoppers, step by step, each step with who, when and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.errors import WrongStep
from cxi_bandit.domain.gate import Reason, RefusedByGate, Ruling
from cxi_bandit.domain.promotion import Approval, Forecast, Promotion, Step
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Canary, Previous, Rollout, Split, Stand
from cxi_bandit.engine.candidacy import (
    Pair,
    Ports,
    Proposal,
    check_surface,
    concerned,
    goes_on,
    objections,
    pair_of,
    proposed_pair,
    version_of,
    without,
)
from cxi_bandit.engine.install import left_alone, salt
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import FiledReport, Registry, Releases
from cxi_bandit.policy.release_rules import RolloutRules

_NO_EVIDENCE: Final[Mapping[str, str]] = {}
_NO_CANARY: Final = "approved, and the live manifest declares no canary"


def propose(asked: Proposal, ports: Ports, at: datetime) -> Promotion:
    """Files a promotion on a report that says go for exactly this pair against what is live now.

    Raises:
        InvalidInput, NotFound: What is asked for is not there, or nothing would change.
        RefusedByGate: The report does not say so. Nothing is filed; the audit trail says who asked and what was said.
    """
    registry, releases, evaluations, manifests = ports
    rollout = releases.rollout(asked.policy)
    pair = pair_of(asked.policy, asked.version, asked.model, registry, manifests)
    check_surface(pair, rollout, ports)
    defects = concerned(pair, asked.defects, rollout, ports)
    filed = evaluations.get(asked.evaluation_id)
    stand = pair.stand
    promotion = Promotion(
        policy=asked.policy,
        version=stand.version,
        manifest_sha=pair.version.manifest_sha,
        model=stand.model,
        evaluation_id=asked.evaluation_id,
        incumbent=filed.report.verdict.incumbent,
        proposed_by=asked.author,
        proposed_at=at,
        forecast=_forecast(filed),
        defects=defects,
        reason="proposed",
        changed_at=at,
    )
    ruling, reasons = objections(pair, defects, filed, ports)
    if reasons:
        told = {"ruling": ruling.value, "reason": _sentence(reasons), **_shown(filed)}
        registry.note(_entry("promotion turned down", promotion, asked.author, at, told))
        raise RefusedByGate(ruling, reasons)
    return releases.propose(promotion, _entry("promotion propose", promotion, asked.author, at, _shown(filed)))


def approve(promotion_id: int, by: str, ports: Ports, at: datetime) -> Promotion:
    """A person's yes, the last one of which begins the canary; without canary shares the candidate goes live at once.

    Raises:
        NotFound: There is no such promotion.
        InvalidInput: Another policy has taken one of its defect types meanwhile.
        WrongStep: It was approved or ended before, or another one is at its canary.
        RefusedByGate: Another person is needed, or the verdict has expired: then the promotion has ended.
        RolloutConflict: Somebody else was faster; nothing was written.
    """
    registry, releases, evaluations, manifests = ports
    seen = releases.promotion(promotion_id)
    if seen.step is not Step.PROPOSED:
        raise WrongStep(f"promotion {promotion_id} was decided on already: {seen.step.value}, {seen.reason}")
    rollout = releases.rollout(seen.policy)
    judge = manifests.by_sha(version_of(rollout.live, seen.policy, registry).manifest_sha)
    needed = judge.gate.approvals
    if len({seen.proposed_by, by} if needed > 1 else {by}) < needed:
        reason = Reason("second_person", f"{by} proposed it, and the live manifest asks for a second person's approval")
        told = {"ruling": Ruling.REFUSE.value, "reason": reason.message}
        registry.note(_entry("promotion turned down", seen, by, at, told))
        raise RefusedByGate(Ruling.REFUSE, (reason,))
    if rollout.canary is not None:
        running = rollout.canary.promotion_id
        raise WrongStep(f"promotion {running} of {seen.policy} is at its canary: await its end, or roll it back")
    pair, filed = proposed_pair(seen, registry, manifests), evaluations.get(seen.evaluation_id)
    check_surface(pair, rollout, ports)
    ruling, reasons = objections(pair, seen.defects, filed, ports)
    if reasons:
        refuse(seen, _sentence(reasons), by, releases, at)
        raise RefusedByGate(ruling, reasons)
    approved = msgspec.structs.replace(seen, approvals=(*seen.approvals, Approval(by=by, at=at)))
    if not judge.rollout.canary_shares:
        live = msgspec.structs.replace(approved, step=Step.LIVE, reason=_NO_CANARY, changed_at=at)
        following = _taken_over(live, pair, rollout, registry, manifests, by)
        _roll_live(following, live, seen, releases, _shown(filed))
        return live
    share = judge.rollout.canary_shares[0]
    entered = msgspec.structs.replace(
        approved, step=Step.CANARY, canary_step=0, reason=f"a canary with {share:.4g} of the shoppers", changed_at=at
    )
    canary = Canary(
        stand=pair.stand,
        split=Split(share=share, salt=salt(seen.policy, "canary", str(promotion_id))),
        promotion_id=promotion_id,
        since=at,
    )
    following = rollout.following(
        by,
        at,
        f"promotion {promotion_id} begins its canary",
        canary=canary,
        canary_defects=seen.defects,
        shadow=without(rollout.shadow, pair.stand),
    )
    told = {"revision": str(following.revision), "share": f"{share:.4g}", "salt": canary.split.salt, **_shown(filed)}
    releases.roll_out(following, _entry("promotion approve", entered, by, at, told), entered, seen)
    return entered


def refuse(promotion: Promotion, reason: str, by: str, releases: Releases, at: datetime) -> Promotion:
    """Ends a promotion that no shopper has met.

    Raises:
        WrongStep: It is beyond that: roll it back.
        RolloutConflict: Somebody changed it meanwhile; nothing was written.
    """
    if promotion.step is not Step.PROPOSED:
        raise WrongStep(
            f"promotion {promotion.promotion_id} stands at {promotion.step.value}; only a proposed one can be refused"
        )
    ended = msgspec.structs.replace(promotion, step=Step.REFUSED, reason=reason, changed_at=at)
    releases.change(ended, promotion, _entry("promotion refuse", ended, by, at, {"reason": reason}))
    return ended


def next_step(
    promotion: Promotion,
    rules: RolloutRules,
    releases: Releases,
    *,
    by: str,
    at: datetime,
    reason: str,
    evidence: Mapping[str, str] = _NO_EVIDENCE,
) -> Promotion:
    """Gives the canary its next, larger share; whoever was in it stays in it.

    Args:
        evidence: What the audit line tells of it.

    Raises:
        WrongStep: Its canary is not running, or has its last share.
        RolloutConflict: Somebody changed the roll-out meanwhile; nothing was written.
    """
    rollout = releases.rollout(promotion.policy)
    canary = _canary_of(promotion, rollout)
    step = promotion.canary_step + 1
    if step >= len(rules.canary_shares):
        raise WrongStep(f"promotion {promotion.promotion_id} is at the last share of its canary: what follows is live")
    share = rules.canary_shares[step]
    moved = msgspec.structs.replace(promotion, canary_step=step, reason=reason, changed_at=at)
    larger = msgspec.structs.replace(canary, split=msgspec.structs.replace(canary.split, share=share), since=at)
    following = rollout.following(by, at, reason, canary=larger)
    told = {
        "revision": str(following.revision),
        "share": f"{share:.4g}",
        "step": str(step),
        "reason": reason,
        **evidence,
    }
    releases.roll_out(following, _entry("promotion step", moved, by, at, told), moved, promotion)
    return moved


def go_live(
    promotion: Promotion,
    registry: Registry,
    releases: Releases,
    manifests: Manifests,
    *,
    by: str,
    at: datetime,
    reason: str,
    evidence: Mapping[str, str] = _NO_EVIDENCE,
) -> Promotion:
    """Ends the canary with the candidate live: for all, or for the defect types that the promotion is about.

    A version that learns continuously goes on from its head, unless that is not what was tried; one whose updates are
    gated keeps its model. What was live before stays as it was for the previous arm, where there is one.

    Args:
        evidence: What the audit line tells of it.

    Raises:
        WrongStep: Its canary is not running.
        RolloutConflict: Somebody changed the roll-out meanwhile; nothing was written.
    """
    rollout = releases.rollout(promotion.policy)
    _canary_of(promotion, rollout)
    pair = proposed_pair(promotion, registry, manifests)
    live = msgspec.structs.replace(promotion, step=Step.LIVE, reason=reason, changed_at=at)
    following = _taken_over(live, pair, rollout, registry, manifests, by)
    _roll_live(following, live, promotion, releases, evidence)
    return live


def _taken_over(
    live: Promotion, pair: Pair, rollout: Rollout, registry: Registry, manifests: Manifests, by: str
) -> Rollout:
    """The roll-out in which a promotion is live, for the defect types that it is about."""
    stand = Stand(version=live.version, follows_head=True) if goes_on(pair, rollout, registry) else pair.stand
    standing = manifests.by_sha(version_of(rollout.live, live.policy, registry).manifest_sha)
    by_defect = {**rollout.by_defect, **dict.fromkeys(live.defects or standing.defects, stand)}
    whole = all(by_defect.get(defect) == stand for defect in standing.defects)
    rules = (pair.manifest if whole else standing).rollout
    return rollout.following(
        by,
        live.changed_at,
        live.reason,
        live=stand if whole else rollout.live,
        by_defect={} if whole else by_defect,
        hold=left_alone(live.policy, rules),
        hold_rotation_days=rules.hold_rotation_days,
        previous=_previous(live, rollout, rules, registry),
        canary=None,
        canary_defects=(),
        shadow=without(rollout.shadow, stand),
        apprentice=False,
    )


def _roll_live(
    following: Rollout, live: Promotion, seen: Promotion, releases: Releases, evidence: Mapping[str, str]
) -> None:
    told = {"revision": str(following.revision), "reason": live.reason, **evidence}
    entry = _entry("promotion live", live, following.made_by, following.made_at, told)
    releases.roll_out(following, entry, live, seen)


def _previous(live: Promotion, rollout: Rollout, rules: RolloutRules, registry: Registry) -> Previous | None:
    """What is replaced, as it served until now. What an apprentice imitated cannot be served without its callers."""
    if not rules.previous_share or rollout.apprentice:
        return None
    replaced = rollout.live_for(live.defects[0]) if live.defects else rollout.live
    if replaced.follows_head:
        head = registry.head(live.policy, replaced.version)
        replaced = Stand(version=replaced.version, model=None if head is None else head.lineage.version)
    split = Split(share=rules.previous_share, salt=salt(live.policy, "previous", str(live.promotion_id)))
    return Previous(stand=replaced, split=split, since=live.changed_at)


def _canary_of(promotion: Promotion, rollout: Rollout) -> Canary:
    canary = rollout.canary
    if canary is None or canary.promotion_id != promotion.promotion_id:
        raise WrongStep(f"promotion {promotion.promotion_id} of {promotion.policy} is not at its canary")
    return canary


def _forecast(filed: FiledReport) -> Forecast:
    headline = filed.report.estimates[filed.report.headline]
    return Forecast(estimate=filed.report.headline, candidate=headline.value, interval=headline.interval)


def _sentence(reasons: tuple[Reason, ...]) -> str:
    return "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)


def _shown(filed: FiledReport) -> dict[str, str]:
    """The gate's evidence, for the audit trail."""
    trial = filed.report.trial
    return {} if trial is None else {"log_e": f"{trial.log_e:.6g}", "log_threshold": f"{trial.log_threshold:.6g}"}


def _entry(action: str, promotion: Promotion, by: str, at: datetime, told: Mapping[str, str]) -> AuditEntry:
    detail = {} if promotion.promotion_id == 0 else {"promotion": str(promotion.promotion_id)}
    detail |= {
        "version": str(promotion.version),
        "model": "" if promotion.model is None else str(promotion.model),
        "evaluation": str(promotion.evaluation_id),
        "incumbent": promotion.incumbent,
    }
    if promotion.defects:
        detail["defects"] = " ".join(promotion.defects)
    return AuditEntry(at=at, actor=by, action=action, policy=promotion.policy, detail=detail | dict(told))
