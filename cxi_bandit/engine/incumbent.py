"""The incumbent: what a policy serves now, named so that evidence against it expires when it is replaced."""

from collections.abc import Collection
from dataclasses import dataclass

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.fingerprint import recognise
from cxi_bandit.engine.learn import verified_bytes
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom, Registry, Releases
from cxi_bandit.policy.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """A policy version that is live, with the model that chooses; None while the cold start draws.

    Attributes:
        apprentice: It imitates its callers' baseline, whatever it learns meanwhile.
    """

    version: PolicyVersion
    manifest: Manifest
    model: Model | None
    apprentice: bool = False

    @property
    def name(self) -> str:
        """What a verdict was reached against. Learning on under a cold start changes nothing that is served."""
        if self.apprentice:
            return f"{self.version.policy} version {self.version.version}, an apprentice"
        chooses = "cold start" if self.model is None else f"model {self.model.lineage.version}"
        return f"{self.version.policy} version {self.version.version}, {chooses}"


def incumbent_of(
    registry: Registry, releases: Releases, manifests: Manifests, policy: PolicyName, defect: str | None = None
) -> Incumbent:
    """Who is live now.

    Args:
        defect: For this defect type; None for those that no roll-out of their own has reached.

    Raises:
        NotFound: No version of the policy is.
    """
    rollout = releases.rollout(policy)
    stand = rollout.live if defect is None else rollout.live_for(defect)
    version = next(known for known in registry.versions(policy) if known.version == stand.version)
    manifest = manifests.by_sha(version.manifest_sha)
    if rollout.apprentice:
        return Incumbent(version=version, manifest=manifest, model=None, apprentice=True)
    model = registry.head(policy, version.version) if stand.follows_head else None
    if stand.model is not None:
        model = registry.model(policy, stand.model)
    warm = model is not None and model.lineage.learned_total >= manifest.exploration.cold_start.outcomes
    return Incumbent(version=version, manifest=manifest, model=model if warm else None)


def incumbents_of(
    registry: Registry, releases: Releases, manifests: Manifests, policy: PolicyName, defects: Collection[str]
) -> dict[str | None, Incumbent]:
    """Who is live for each of some defect types; None stands for those that no roll-out of their own has reached.

    Args:
        defects: Empty for all.

    Raises:
        NotFound: No version of the policy is.
    """
    names: tuple[str | None, ...] = tuple(defects) or (None, *releases.rollout(policy).by_defect)
    return {name: incumbent_of(registry, releases, manifests, policy, name) for name in names}


def serve(incumbent: Incumbent, registry: Registry, room: ModelRoom) -> ServedPolicy:
    """The incumbent as a worker serves it, its model's checks included.

    Raises:
        ModelInvalid: The model's bytes are gone, or not what was committed.
    """
    model = incumbent.model
    if model is None:
        return ServedPolicy(incumbent.version, incumbent.manifest, None, None)
    data = verified_bytes(registry, model)
    scorer = room.load(incumbent.manifest, data)
    recognise(model, incumbent.manifest, data, scorer)
    return ServedPolicy(incumbent.version, incumbent.manifest, model, scorer)
