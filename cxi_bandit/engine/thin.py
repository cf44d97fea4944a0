"""Thin: drop the bytes of model versions that nobody starts from again; they can be derived again at any time."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.model import Branch, Model
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Registry, Releases
from cxi_bandit.policy.manifest import Checkpoints


def thin(policy: PolicyName, registry: Registry, releases: Releases, manifests: Manifests, now: datetime) -> int:
    """Thins every version of a policy by its own manifest's rule; returns how many models lost their bytes.

    What a roll-out names or named keeps its bytes, since a rollback may take it up again at once, and so does what was
    proposed.
    """
    by_version: dict[int, list[Model]] = {}
    for model in registry.models_with_bytes(policy):
        by_version.setdefault(model.lineage.policy_version, []).append(model)
    needed = {model.lineage.version for model in registry.heads() if model.lineage.policy == policy}
    stands = [stand for rollout in releases.history(policy) for _, stand in rollout.stands()]
    needed |= {stand.model for stand in stands if stand.model is not None}
    needed |= {promotion.model for promotion in releases.promotions(policy) if promotion.model is not None}
    going: list[ModelVersion] = []
    for models in by_version.values():
        rule = manifests.by_sha(models[0].lineage.manifest_sha).learning.checkpoints
        going += superfluous(models, rule, needed, now)
    return registry.thin(policy, going) if going else 0


def superfluous(
    models: Iterable[Model], rule: Checkpoints, needed: Collection[ModelVersion], now: datetime
) -> list[ModelVersion]:
    """The versions to thin, of models that have their bytes. Pure.

    What stays: starts, what is needed, the last `keep_last`, of the others the first of each hour for `hourly_days` and
    the first of each day for ever. The first of an hour stays the first, whatever is published or thinned after it, so
    thinning twice thins nothing more, and there is always a checkpoint within the hour (the day) before any model.
    """
    newest_first = sorted(models, key=lambda model: model.lineage.version, reverse=True)
    older = newest_first[rule.keep_last :][::-1]
    hourly_since = now - timedelta(days=rule.hourly_days)
    seen: set[str] = set()
    going = []
    for model in older:
        made = model.created_at
        day = f"{made:%Y%m%d}"
        periods = {day, f"{day}{made:%H}"} if made >= hourly_since else {day}
        first = not periods <= seen
        seen |= periods
        if not first and model.lineage.branch is not Branch.START and model.lineage.version not in needed:
            going.append(model.lineage.version)
    return going
