"""A policy's roll-out as its watches see it: who answers since when, beside whom, and what each watch is called."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from cxi_bandit.domain.alpha_ledger import share_of_alpha
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.rollout import Canary, Rollout, Stand
from cxi_bandit.engine.candidacy import version_of
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Evaluations, Registry, Releases, Visits
from cxi_bandit.engine.watch_canary import CanaryWatch
from cxi_bandit.engine.watch_guard import GuardWatch
from cxi_bandit.engine.watch_live import Comparison, LiveWatch
from cxi_bandit.engine.watch_rows import Ruler
from cxi_bandit.policy.manifest import Manifest

Kept = TypeVar("Kept", CanaryWatch, LiveWatch, GuardWatch)


class WatchPorts(NamedTuple):
    """What a watch looks at and acts through."""

    visits: Visits
    registry: Registry
    releases: Releases
    evaluations: Evaluations
    manifests: Manifests


class View(NamedTuple):
    """A policy's roll-out with all that its watches need to know of its past.

    Attributes:
        history: Every revision, oldest first.
        origin: The one with which what is live now went live, beside the arm that it is compared with.
        answering: The manifests that answer the live arm.
    """

    history: Sequence[Rollout]
    origin: Rollout
    ruler: Ruler
    answering: tuple[Manifest, ...]

    @property
    def rollout(self) -> Rollout:
        """The newest revision."""
        return self.history[-1]

    @property
    def live(self) -> Manifest:
        """The manifest that is live where no defect type has one of its own: its rules and its reward count."""
        return self.ruler.live

    @property
    def since_live(self) -> dict[int, Rollout]:
        """Every revision since what is live went live."""
        return {one.revision: one for one in self.history if one.revision >= self.origin.revision}

    def with_canary(self, promotion_id: int) -> dict[int, Rollout]:
        """Every revision with a promotion's canary."""
        return {one.revision: one for one in self.history if _runs(one, promotion_id)}

    @property
    def against(self) -> Comparison | None:
        """The previous policy, or where there is none leaving shoppers alone; None where nobody is."""
        if self.rollout.previous is not None:
            return Comparison(Arm.PREVIOUS, self.rollout.previous.split.share)
        return None if self.rollout.hold is None else Comparison(Arm.HOLD, self.rollout.hold.share)


def viewed(policy: PolicyName, releases: Releases, registry: Registry, manifests: Manifests) -> View:
    """A policy's roll-out now.

    Raises:
        NotFound: There is no such policy.
    """
    history = releases.history(policy)
    if not history:
        raise NotFound("roll-out of policy", policy)
    index = len(history) - 1
    while index and same_live(history[index - 1], history[index]):
        index -= 1
    answering = tuple(
        manifests.by_sha(version_of(stand, policy, registry).manifest_sha)
        for stand in (history[-1].live, *history[-1].by_defect.values())
    )
    return View(history, history[index], Ruler(answering[0], manifests), answering)


def same_live(before: Rollout, after: Rollout) -> bool:
    """Whether two roll-outs are watched as one: the same versions answer, compared with the same arm."""
    return answers(before) == answers(after) and (before.previous, before.hold) == (after.previous, after.hold)


def answers(rollout: Rollout) -> tuple[Stand, Mapping[str, Stand], bool]:
    """Who answers the live arm."""
    return rollout.live, rollout.by_defect, rollout.apprentice


def _runs(rollout: Rollout, promotion_id: int) -> bool:
    return rollout.canary is not None and rollout.canary.promotion_id == promotion_id


def known(policy: PolicyName, name: str, kind: type[Kept], releases: Releases) -> Kept | None:
    """What a watch kept last; None before its first sitting."""
    last = releases.watch(policy, name)
    return None if last is None else msgspec.json.decode(last[1], type=kind)


def canary_name(promotion_id: int) -> str:
    """The name under which a canary's watch is kept."""
    return f"canary/{promotion_id}"


def live_name(origin: Rollout) -> str:
    """That of the watch of what went live with a revision."""
    return f"live/{origin.revision}"


def guard_name(origin: Rollout, canary: Canary | None) -> str:
    """That of the guardrails of a canary, or of what went live."""
    return f"guard/live/{origin.revision}" if canary is None else f"guard/canary/{canary.promotion_id}"


def canary_alpha(promotion: Promotion, ports: WatchPorts, live: Manifest) -> float:
    """What a canary may err with: alpha_j of the trial that its report stands on, the gate's alpha where it had none.

    A report that is promoted again spends again: the k-th canary on it has 6/(π²k²) of that, which sum to the whole.
    """
    filed = ports.evaluations.get(promotion.evaluation_id)
    alpha = live.gate.alpha if filed.report.trial is None else filed.report.trial.alpha
    same = [one for one in ports.releases.promotions(promotion.policy) if one.evaluation_id == promotion.evaluation_id]
    return share_of_alpha(alpha, 1 + sum(one.promotion_id < promotion.promotion_id for one in same))
