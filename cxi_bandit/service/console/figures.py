"""What the overview says of each policy: read from tallies, never from the log, whatever its length."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.model import by_version
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.domain.tallies import ArmTally, DrawnTally, Span, Stretches, TallyProgress, start_of
from cxi_bandit.evidence.mean_band import Band, RewardSums, difference_band, mean_band
from cxi_bandit.policy.manifest import Manifest

ALPHA: Final = 0.05
"""With this probability, at most, a policy's bands fail at some moment of its life."""

_BY_MINUTE: Final = timedelta(hours=1)
"""So much, and the hour begun before it, is looked at by the minute."""
_BY_HOUR: Final = timedelta(days=2)
"""So much is looked at by the hour; what is older, by the day."""
_SHARES_KEPT: Final = timedelta(days=14)
_RATES_KEPT: Final = timedelta(hours=2)
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_SECONDS: Final = 60.0
_INSTANT: Final = timedelta(microseconds=1)
_LENGTH: Final = {Span.MINUTE: timedelta(minutes=1), Span.HOUR: timedelta(hours=1), Span.DAY: timedelta(days=1)}


class Comparison(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Reward per decision of the live version since it went live, after each stretch of time.

    Attributes:
        ends_at: When each stretch ended.
        served: Of those whom the live version answers.
        held: Of those who are left alone meanwhile; None where nobody is.
        difference: served - held; None where `held` is.
    """

    ends_at: list[datetime]
    served: Band
    held: Band | None
    difference: Band | None


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """How often each intervention was drawn.

    Attributes:
        starts_at: The starts of stretches of a day, and of an hour for the latest.
        interventions: In the manifest's order, then those of other versions.
        shares: Of the decisions of each stretch, by intervention.
        expected: The same as the logged probabilities say.
    """

    starts_at: list[datetime]
    interventions: list[InterventionId]
    shares: dict[InterventionId, list[float]]
    expected: dict[InterventionId, list[float]]


class PolicyFigures(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A policy at a glance.

    Attributes:
        holds_back: The share of shoppers who are left alone; 0 where the policy declares none.
        uncounted: Outcome positions that the figures do not know yet.
        counted_until: Decisions made before are in them; None where nothing was counted yet.
        decided: Decisions of the last day.
    """

    version: PolicyVersion
    holds_back: float
    uncounted: int
    counted_until: datetime | None
    decided: int
    comparison: Comparison
    drawn: Drawn


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions a second in each minute of the last hours, by policy, of all who write to the database."""

    starts_at: list[datetime]
    by_policy: dict[PolicyName, list[float]]


class LivePolicy(NamedTuple):
    """The version that answers whoever is in no other arm, and how far its policy is counted.

    Attributes:
        holds_back: The share of shoppers who are left alone; 0 where the policy declares none.
    """

    version: PolicyVersion
    holds_back: float
    progress: TallyProgress


def live_policies(engine: Engine) -> list[LivePolicy]:
    """Every policy, as all that is told of it goes by; its progress is read before what is counted."""
    store = engine.store
    rollouts = {rollout.policy: rollout for rollout in store.releases.rollouts()}
    live = {(policy, rollout.live.version) for policy, rollout in rollouts.items()}
    versions = [version for version in store.registry.versions() if (version.policy, version.version) in live]
    progress = store.tallies.progress([version.policy for version in versions])
    found = []
    for version in versions:
        hold = rollouts[version.policy].hold
        found.append(LivePolicy(version, 0.0 if hold is None else hold.share, progress[version.policy]))
    return found


def lags(engine: Engine, policies: Sequence[LivePolicy]) -> dict[PolicyName, int | None]:
    """Outcome positions that each live version has not learned yet; None before its first model."""
    heads = by_version(engine.store.registry.heads())
    found: dict[PolicyName, int | None] = {}
    for version, _, progress in policies:
        learned = heads.get((version.policy, version.version))
        found[version.policy] = None if learned is None else max(0, progress.head - learned.lineage.up_to)
    return found


def rates(engine: Engine, policies: Sequence[LivePolicy]) -> Rates:
    """Up to the last minute that is counted whole."""
    minute = _LENGTH[Span.MINUTE]
    since = start_of(Span.MINUTE, engine.clock() - _RATES_KEPT)
    until = min((start_of(Span.MINUTE, one.progress.decided_until) for one in policies), default=since)
    starts = [since + number * minute for number in range(max(0, (until - since) // minute))]
    names = [one.version.policy for one in policies]
    found = engine.store.tallies.by_arm(names, [Stretches(Span.MINUTE, since, until)])
    by_policy = {}
    for policy, of_policy in found.items():
        decided = _summed(of_policy)
        by_policy[policy] = [decided.get(start, 0) / _MINUTE_SECONDS for start in starts]
    return Rates(starts_at=starts, by_policy=by_policy)


def all_figures(engine: Engine, policies: Sequence[LivePolicy]) -> list[PolicyFigures]:
    """The figures of each policy by its live version, in as many reads for many as for one."""
    tallies, now = engine.store.tallies, engine.clock()
    names = [one.version.policy for one in policies]
    day, hour = start_of(Span.DAY, now - _BY_HOUR), start_of(Span.HOUR, now - _BY_MINUTE)
    by_arm = tallies.by_arm(
        names, [Stretches(Span.DAY, _EVER, day), Stretches(Span.HOUR, day, hour), Stretches(Span.MINUTE, hour)]
    )
    drawn = tallies.drawn(
        names, [Stretches(Span.DAY, start_of(Span.DAY, now - _SHARES_KEPT), day), Stretches(Span.HOUR, day)]
    )
    found = []
    for version, holds_back, progress in policies:
        policy, manifest = version.policy, engine.manifests.by_sha(version.manifest_sha)
        own = [tally for tally in by_arm[policy] if tally.policy_version == version.version]
        found.append(
            PolicyFigures(
                version=version,
                holds_back=holds_back,
                uncounted=max(0, progress.head - progress.position),
                counted_until=progress.decided_until if progress.decided_until > _EVER else None,
                decided=sum(tally.decided for tally in by_arm[policy] if tally.starts_at >= now - timedelta(days=1)),
                comparison=comparison(own, progress, (manifest.reward.min, manifest.reward.max)),
                drawn=drawn_of(drawn[policy], manifest),
            )
        )
    return found


def comparison(stretches: Iterable[ArmTally], progress: TallyProgress, reward_range: tuple[float, float]) -> Comparison:
    """Served against left alone, up to the first stretch of which a window may still be open.

    Beyond it those that a reward closed early would be over-represented.

    Args:
        stretches: Of one version, in the order of time.
    """
    served: dict[datetime, RewardSums] = {}
    held: dict[datetime, RewardSums] = {}
    unsettled: datetime | None = None
    for tally in stretches:
        ends_at = tally.starts_at + _LENGTH[tally.span]
        if tally.arm not in (Arm.LIVE, Arm.HOLD):
            continue
        if not tally.settled or ends_at > progress.decided_until:
            unsettled = ends_at if unsettled is None else min(unsettled, ends_at)
        arm = served if tally.arm is Arm.LIVE else held
        arm[ends_at] = RewardSums(number=tally.judged, total=tally.reward, squares=tally.squares)
    ends = sorted(end for end in {*served, *held} if unsettled is None or end < unsettled)
    own = _band(served, ends, reward_range)
    other = _band(held, ends, reward_range) if any(held[end].number for end in ends if end in held) else None
    return Comparison(
        ends_at=ends,
        served=own,
        held=other,
        difference=None if other is None else difference_band(own, other),
    )


def _band(arm: dict[datetime, RewardSums], ends: Sequence[datetime], reward_range: tuple[float, float]) -> Band:
    # Two arms are looked at together: each has half of what may fail.
    days = [(end - _INSTANT).toordinal() for end in ends]
    return mean_band([arm.get(end, RewardSums()) for end in ends], reward_range, ALPHA / 2, days)


def drawn_of(tallies: Sequence[DrawnTally], manifest: Manifest) -> Drawn:
    """What was drawn in each stretch, and what the logged probabilities say of it; not eligible counts as none."""
    starts = sorted({tally.starts_at for tally in tallies})
    decided = {(tally.starts_at, tally.intervention): tally.decided for tally in tallies}
    expected = {(tally.starts_at, tally.intervention): tally.expected for tally in tallies}
    whole = dict.fromkeys(starts, 0)
    for tally in tallies:
        whole[tally.starts_at] += tally.decided
    others = sorted({tally.intervention for tally in tallies} - {*manifest.catalogue})
    names = [*manifest.catalogue, *others]

    def shares(of: Mapping[tuple[datetime, InterventionId], float]) -> dict[InterventionId, list[float]]:
        return {name: [of.get((start, name), 0) / max(whole[start], 1) for start in starts] for name in names}

    return Drawn(starts_at=starts, interventions=names, shares=shares(decided), expected=shares(expected))


def _summed(tallies: Iterable[ArmTally]) -> dict[datetime, int]:
    found: dict[datetime, int] = {}
    for tally in tallies:
        found[tally.starts_at] = found.get(tally.starts_at, 0) + tally.decided
    return found
