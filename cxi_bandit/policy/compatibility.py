"""Whether what was decided under one manifest can teach a model of another."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec

from cxi_bandit.policy.manifest import FeatureType, Manifest, NumberFeature, Schema


def obstacles(taught_by: Manifest, learner: Manifest) -> list[str]:
    """Why not; empty where it can. Reward definition, exploration, learning settings and catalogue may differ.

    What differs must not leave open what a decision was about or what it earned: features and their scales, what the
    features of an intervention are, which events a decision has and which decisions count.
    """
    return list(_obstacles(taught_by, learner))


def _obstacles(taught_by: Manifest, learner: Manifest) -> Iterator[str]:
    if (taught_by.name, taught_by.surface) != (learner.name, learner.surface):
        yield "it is of another policy or surface"
    yield from _schemas("context", taught_by.context, learner.context)
    yield from _schemas("intervention_features", taught_by.intervention_features, learner.intervention_features)
    known = {entry.id: entry.features for entry in taught_by.interventions}
    for entry in learner.interventions:
        if entry.id in known and known[entry.id] != entry.features:
            yield f"interventions: {entry.id!r} has other features"
    before, after = taught_by.reward, learner.reward
    if after.horizon_seconds > before.horizon_seconds:
        longer, shorter = (timedelta(seconds=one.horizon_seconds) for one in (after, before))
        yield f"reward.horizon_seconds: nobody waited for {longer}, only for {shorter}"
    if after.attribution != before.attribution:
        yield "reward.attribution: which events its decisions have was settled by another rule"
    if after.drops_unseen != before.drops_unseen:
        yield "reward.counts_when, reward.discards_unseen: other decisions counted"


def _schemas(table: str, before: Schema, after: Schema) -> Iterator[str]:
    for name in sorted(before.features.keys() | after.features.keys()):
        old, new = before.features.get(name), after.features.get(name)
        if old is None or new is None:
            yield f"{table}.features.{name}: only one of the two has it"
        elif _seen(old) != _seen(new):
            yield f"{table}.features.{name}: it looks otherwise to a model"


def _seen(kind: FeatureType) -> FeatureType:
    """A feature as a model sees it: not its words, and not whether it must be sent."""
    plain = msgspec.structs.replace(kind, description="", required=False)
    return msgspec.structs.replace(plain, unit="") if isinstance(plain, NumberFeature) else plain
