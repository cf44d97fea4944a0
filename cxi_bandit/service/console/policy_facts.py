"""What is told of policies: who answers whom, what is on its way, what is spent, what is watched, and who did what."""

from typing import Any, Final

import msgspec

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.model import by_version
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.rollback import live_before
from cxi_bandit.engine.watch_status import status
from cxi_bandit.policy.budgets import EXPLORING, day_of, lines
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.service.console.lineage import line_of
from cxi_bandit.service.console.policy_charts import learning_curve, propensities
from cxi_bandit.service.overrides import standing
from cxi_bandit.service.policies import ArmAnswer, describe_arms, describe_versions

_REVISIONS: Final = 12
_TRAIL: Final = 30
_MODELS: Final = 8
_MICROS: Final = 1_000_000


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """A policy in the list of all.

    Attributes:
        model_version: The newest model of the live version.
        open_promotions: Those that are proposed or at their canary.
        overrides: Pins and halts in force about this policy alone.
    """

    name: PolicyName
    surface: str
    description: str
    live: int
    model_version: int | None
    learned_total: int
    arms: list[ArmAnswer]
    apprentice: bool
    open_promotions: list[Promotion]
    overrides: list[Override]


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """A budget's day so far, all arms together.

    Attributes:
        intervention: None for what exploring may cost.
        uses: Uses leased or spent; None where they are not bounded.
        money: The same of money.
    """

    intervention: InterventionId | None
    uses: int | None
    most_uses: int | None
    money: float | None
    most_money: float | None

    @property
    def share(self) -> float:
        """Of whichever bound is nearer."""
        uses = (self.uses or 0) / self.most_uses if self.most_uses else 0.0
        money = (self.money or 0.0) / self.most_money if self.most_money else 0.0
        return min(max(uses, money), 1.0)


class RampStep(msgspec.Struct, frozen=True):
    """One step of a canary; `at` says whether it is the present one, `passed` whether it lies behind."""

    share: float
    at: bool
    passed: bool


def all_policies(engine: Engine) -> dict[str, Any]:
    """Every policy at a glance, and what is halted everywhere."""
    store, now = engine.store, engine.clock()
    versions = {(one.policy, one.version): one for one in store.registry.versions()}
    heads = by_version(store.registry.heads())
    in_force = [one for one in store.releases.overrides() if one.stands_at(now)]
    promotions = [one for one in store.releases.promotions() if not one.step.ended]
    found = []
    for rollout in store.releases.rollouts():
        manifest = engine.manifests.by_sha(versions[rollout.policy, rollout.live.version].manifest_sha)
        head = heads.get((rollout.policy, rollout.live.version))
        found.append(
            Glance(
                name=rollout.policy,
                surface=manifest.surface,
                description=manifest.description,
                live=rollout.live.version,
                model_version=None if head is None else head.lineage.version,
                learned_total=0 if head is None else head.lineage.learned_total,
                arms=describe_arms(rollout),
                apprentice=rollout.apprentice,
                open_promotions=[one for one in promotions if one.policy == rollout.policy],
                overrides=[one for one in in_force if one.policy == rollout.policy],
            )
        )
    return {"policies": found, "halts": [one for one in in_force if one.policy is None]}


def whole_policy(engine: Engine, policy: PolicyName) -> dict[str, Any]:
    """One policy, as its page names what it shows."""
    store = engine.store
    versions = store.registry.versions(policy)
    history = store.releases.history(policy)
    rollout = history[-1]
    manifest = live_manifest(engine, versions, rollout)
    promotions = store.releases.promotions(policy)
    return {
        "policy": policy,
        "manifest": manifest,
        "manifest_text": store.registry.manifest_text(_live(versions, rollout).manifest_sha),
        "versions": describe_versions(engine, versions),
        "rollout": rollout,
        "arms": describe_arms(rollout),
        "ramp": ramp(rollout, manifest, promotions),
        "before": live_before(history),
        "history": history[: -_REVISIONS - 1 : -1],
        "promotions": promotions[::-1],
        "overrides": standing(engine, policy),
        "learning": learning_curve(engine, policy),
        "propensities": propensities(engine, policy, manifest),
        "spent": spent(engine, policy, manifest),
        "watch": status(policy, engine.watching),
        "line": line_of(policy, None, store.registry, _MODELS),
        "trail": store.registry.trail(policy)[: -_TRAIL - 1 : -1],
    }


def live_manifest(engine: Engine, versions: list[PolicyVersion], rollout: Rollout) -> Manifest:
    """The manifest that is live where no defect type has one of its own."""
    return engine.manifests.by_sha(_live(versions, rollout).manifest_sha)


def _live(versions: list[PolicyVersion], rollout: Rollout) -> PolicyVersion:
    return next(version for version in versions if version.version == rollout.live.version)


def ramp(rollout: Rollout, manifest: Manifest, promotions: list[Promotion]) -> list[RampStep]:
    """The steps that a canary takes by the live manifest, and where the present one is."""
    running = None if rollout.canary is None else rollout.canary.promotion_id
    at = next((one.canary_step for one in promotions if one.promotion_id == running), -1)
    return [RampStep(share, index == at, index < at) for index, share in enumerate(manifest.rollout.canary_shares)]


def spent(engine: Engine, policy: PolicyName, manifest: Manifest) -> list[Spent]:
    """What of today's budgets is out on lease or spent, by the live manifest's lines."""
    declared = lines(manifest, 1.0)
    if not declared:
        return []
    day = day_of(engine.clock(), manifest.limits.time_zone)
    leased = engine.store.budgets.leased(policy, day)
    found = []
    for name, line in declared.items():
        amounts = [amount for (leased_name, _), amount in leased.items() if leased_name == name]
        uses, money = sum(one.uses for one in amounts), sum(one.money for one in amounts)
        found.append(
            Spent(
                intervention=None if name == EXPLORING else name,
                uses=None if line.whole.uses is None else uses,
                most_uses=line.whole.uses,
                money=None if line.whole.money is None else money / _MICROS,
                most_money=None if line.whole.money is None else line.whole.money / _MICROS,
            )
        )
    return found
