"""Who has an event that names only the shopper or the order: a pure function of the decisions it may go to."""

from collections.abc import Iterable
from datetime import timedelta

from cxi_bandit.domain.attribution import Candidate
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.policy.manifest import Manifest


def attributable(manifest: Manifest, metric: str) -> bool:
    """Whether a policy takes events of this metric that do not name the decision."""
    rule = manifest.reward.attribution
    return rule is not None and (not rule.metrics or metric in rule.metrics)


def shared(event: RewardEvent, candidates: Iterable[tuple[Candidate, Manifest]]) -> dict[DecisionId, int]:
    """The decisions that have the event, each with the number of equal parts it has one of.

    A decision qualifies when its own manifest attributes the metric and its own attribution window holds the event;
    when it was made no longer before than the manifest allows, if the event names the shopper; and when it was shown,
    if only what was shown counts. A policy's reward is its own: each policy shares the whole event among its own
    decisions, as the manifest of the last of them says. So the parts that a policy's decisions have add up to one.
    """
    qualified: dict[PolicyName, list[tuple[DecisionId, Manifest]]] = {}
    for candidate, manifest in candidates:
        if _qualifies(event, candidate, manifest):
            qualified.setdefault(candidate.policy, []).append((candidate.decision_id, manifest))
    parts: dict[DecisionId, int] = {}
    for decisions in qualified.values():
        first, (last, manifest) = min(decisions, key=_time)[0], max(decisions, key=_time)
        rule = manifest.reward.attribution
        match rule and rule.credit:
            case "first":
                parts[first] = 1
            case "even":
                parts.update(dict.fromkeys((name for name, _ in decisions), len(decisions)))
            case _:
                parts[last] = 1
    return parts


def _qualifies(event: RewardEvent, candidate: Candidate, manifest: Manifest) -> bool:
    reward = manifest.reward
    if reward.attribution is None or not attributable(manifest, event.metric):
        return False
    if not candidate.decided_at <= event.occurred_at <= candidate.closes_at:
        return False
    if reward.drops_unseen and not candidate.activated:
        return False
    window = reward.attribution.window_seconds
    if event.subject is None or window is None:
        return True
    return event.occurred_at - candidate.decided_at <= timedelta(seconds=window)


def _time(decision: tuple[DecisionId, Manifest]) -> DecisionId:
    """Ids are in the order of time."""
    return decision[0]
