"""Drift: what a policy was told lately, beside what it was told before: features, defects, rewards.

It looks at outcomes whose windows have closed, found by position, so it costs the same however large the log is.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.outcome import OutcomeRevision
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import DecisionLog, OutcomeLog
from cxi_bandit.policy.manifest import CategoryFeature, FeatureType, NumberFeature
from cxi_bandit.policy.stability import Moments, Value, change_score, drift_of

LATEST: Final = timedelta(days=1)
REFERENCE: Final = timedelta(days=7)
"""Whole days, so that the hour of the day is no drift; the reference is the week before the latest day."""

SAMPLE: Final = 2000
FEWEST: Final = 500
"""Outcomes looked at in each window at most, and below which nothing is said: for noise would be heard."""

ALARMING_SCORE: Final = 3.29
"""Of a change in rewards: a false alarm once in 1,000 checks of a policy."""

_CHUNKS: Final = 20

_DEFECT: Final[dict[str, tuple[FeatureType, Callable[[Decision], Value]]]] = {
    "defect.type": (CategoryFeature(), lambda decision: decision.situation.defect.type),
    "defect.severity": (NumberFeature(min=0.0, max=1.0), lambda decision: decision.situation.defect.severity),
    "defect.confidence": (NumberFeature(min=0.0, max=1.0), lambda decision: decision.situation.defect.confidence),
}


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What changed for a policy version from the week before to the latest day.

    Attributes:
        n: Outcomes compared, of the reference and of the latest window.
        stability: Population stability index by feature, `defect.type` and so on among them.
        reward_mean: Of the latest window, as known when windows closed.
        completeness: Share of the latest window's outcomes that an event had reached.
        reward_score: Difference of the mean rewards in standard errors; see `ALARMING_SCORE`.
    """

    policy: PolicyName
    n: tuple[int, int]
    stability: dict[str, float]
    reward_mean: float
    reference_reward_mean: float
    completeness: float
    reference_completeness: float
    reward_score: float

    def alarms(self, threshold: float) -> list[str]:
        """Features whose index exceeds `threshold`, worst first, and `reward` where that has changed."""
        features = sorted((name for name, index in self.stability.items() if index > threshold), key=self._worst)
        return [*features, "reward"] if abs(self.reward_score) > ALARMING_SCORE else features

    def _worst(self, name: str) -> float:
        return -self.stability[name]


def look_for_drift(
    version: PolicyVersion, decisions: DecisionLog, outcomes: OutcomeLog, manifests: Manifests, now: datetime
) -> Drift | None:
    """Compares the latest day of a policy version with the week before; None while either has too few outcomes.

    Only what was decided under the version's own manifest is compared: another one has other features and rewards.
    """
    policy = version.policy
    head = outcomes.head(policy)
    begin = _position_at(outcomes, policy, now - LATEST, head)
    earliest = _position_at(outcomes, policy, now - LATEST - REFERENCE, begin)
    reference, latest = (
        [row for row in _sample(decisions, outcomes, policy, span) if row[0].manifest_sha == version.manifest_sha]
        for span in ((earliest, begin), (begin, head))
    )
    if min(len(reference), len(latest)) < FEWEST:
        return None
    features = {
        **{f"context.{name}": (kind, _told(name)) for name, kind in _features(manifests, version).items()},
        **_DEFECT,
    }
    rewards = [Moments.of([close.settlement.reward for _, close in rows]) for rows in (reference, latest)]
    complete = [sum(close.settlement.completed for _, close in rows) / len(rows) for rows in (reference, latest)]
    return Drift(
        policy=policy,
        n=(len(reference), len(latest)),
        stability={
            name: drift_of(kind, [value(row) for row, _ in reference], [value(row) for row, _ in latest])
            for name, (kind, value) in features.items()
        },
        reward_mean=rewards[1].mean,
        reference_reward_mean=rewards[0].mean,
        completeness=complete[1],
        reference_completeness=complete[0],
        reward_score=change_score(rewards[0], rewards[1]),
    )


def _features(manifests: Manifests, version: PolicyVersion) -> dict[str, FeatureType]:
    return manifests.by_sha(version.manifest_sha).context.features


def _told(name: str) -> Callable[[Decision], Value]:
    return lambda decision: decision.situation.context.get(name)


def _position_at(outcomes: OutcomeLog, policy: PolicyName, moment: datetime, head: int) -> int:
    """The last position up to `head` written before `moment`, by bisection; 0 when there is none."""
    low, high = 0, head
    while low < high:
        middle = (low + high + 1) // 2
        mark = outcomes.mark(policy, middle)
        if mark is not None and mark.closed_at < moment:
            low = middle
        else:
            high = middle - 1
    return low


def _sample(
    decisions: DecisionLog, outcomes: OutcomeLog, policy: PolicyName, span: tuple[int, int]
) -> Iterator[tuple[Decision, OutcomeRevision]]:
    """First closes within (after, up_to] with their decisions: runs at even distances, all where there are few."""
    after, up_to = span
    size = SAMPLE // _CHUNKS
    runs = max(1, min(_CHUNKS, -(-(up_to - after) // size)))
    for run in range(runs):
        start = after + (up_to - after) * run // runs
        end = min(after + (up_to - after) * (run + 1) // runs, up_to)
        closes = [close for close in outcomes.closes(policy, start, size) if close.position <= end]
        known = decisions.find([close.decision_id for close in closes])
        for close in closes:
            if close.decision_id in known:
                yield known[close.decision_id], close
