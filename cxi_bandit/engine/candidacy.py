"""Candidacy: which pair of manifest and model exactly is proposed, for which defect types, what speaks against it."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec

from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.gate import Reason, Ruling
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.engine.incumbent import incumbents_of
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Evaluations, FiledReport, Registry, Releases
from cxi_bandit.policy.manifest import Manifest


class Ports(NamedTuple):
    """What a promotion is decided with."""

    registry: Registry
    releases: Releases
    evaluations: Evaluations
    manifests: Manifests


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks to be promoted.

    Attributes:
        model: None for the head of a version that learns continuously, and for the cold start where it has learned too
            little to choose or learns nothing that is served.
        defects: The defect types it is about; empty for all.
    """

    policy: PolicyName
    version: int
    model: ModelVersion | None
    evaluation_id: int
    author: str
    defects: tuple[str, ...] = ()


class Pair(NamedTuple):
    """A policy version with the one model it is put forward with; without one it draws from the cold start."""

    version: PolicyVersion
    manifest: Manifest
    model: Model | None

    @property
    def stand(self) -> Stand:
        """The pair as it stands in a roll-out: its model frozen."""
        return Stand(version=self.version.version, model=None if self.model is None else self.model.lineage.version)

    @property
    def name(self) -> str:
        """The pair in words."""
        model = "the cold start" if self.model is None else f"model {self.model.lineage.version}"
        return f"version {self.version.version} with {model}"


def pair_of(
    policy: PolicyName, number: int, model: ModelVersion | None, registry: Registry, manifests: Manifests
) -> Pair:
    """The pair that is meant.

    Raises:
        NotFound: There is no such version or model.
        InvalidInput: The model is another version's, has lost its bytes, or is not the head that its version would go
            on from.
    """
    version = next((known for known in registry.versions(policy) if known.version == number), None)
    if version is None:
        raise NotFound("policy version", f"{policy} version {number}")
    manifest = manifests.by_sha(version.manifest_sha)
    head = registry.head(policy, number)
    continuous = manifest.learning.updates == "continuous"
    if model is None:
        warm = head is not None and head.lineage.learned_total >= manifest.exploration.cold_start.outcomes
        return Pair(version, manifest, head if continuous and warm else None)
    found = registry.model(policy, model)
    if found.lineage.policy_version != number:
        raise InvalidInput(
            "/model_version", f"model {model} is of version {found.lineage.policy_version}, not of {number}"
        )
    if continuous and found != head:
        raise InvalidInput(
            "/model_version",
            f"version {number} goes on learning from its head, so only that can be promoted: leave the model out, or "
            'declare updates = "gated"',
        )
    if model not in registry.kept(policy):
        raise InvalidInput(
            "/model_version", f"the bytes of model {model} were thinned away; propose one that still has them"
        )
    return Pair(version, manifest, found)


def proposed_pair(promotion: Promotion, registry: Registry, manifests: Manifests) -> Pair:
    """The very pair that was proposed, whatever has become of its version since."""
    version = version_of(Stand(version=promotion.version), promotion.policy, registry)
    model = None if promotion.model is None else registry.model(promotion.policy, promotion.model)
    return Pair(version, manifests.by_sha(version.manifest_sha), model)


def concerned(pair: Pair, defects: Collection[str], rollout: Rollout, ports: Ports) -> tuple[str, ...]:
    """The defect types that a promotion is about, in the live manifest's order; empty for all.

    A pair that is live for some defect types already is, when none are named, about the others.

    Raises:
        InvalidInput: One of them is not known, or nothing would change.
    """
    registry, _, _, manifests = ports
    live = version_of(rollout.live, rollout.policy, registry)
    known = manifests.by_sha(live.manifest_sha).defects
    for index, defect in enumerate(defects):
        if defect not in known or defect not in pair.manifest.defects:
            shared = ", ".join(name for name in known if name in pair.manifest.defects)
            raise InvalidInput(
                f"/defects/{index}", f"{defect!r} is not one that both the live version and this one know: {shared}"
            )
    if rollout.apprentice:
        if defects:
            raise InvalidInput("/defects", "an apprentice is let go for all defect types at once; name none")
        return ()
    already = {name for name in known if same(pair.stand, rollout.live_for(name))}
    if already.issuperset(defects or known):
        raise InvalidInput("/version", f"{pair.name} is live already, so nothing would change")
    about = set(defects or known) - already
    return () if about == set(known) else tuple(name for name in known if name in about)


def check_surface(pair: Pair, rollout: Rollout, ports: Ports) -> None:
    """A version that goes live keeps its surface, and takes no defect type from another policy.

    Raises:
        InvalidInput: It would.
    """
    registry, releases, _, manifests = ports
    for other in releases.rollouts():
        standing = manifests.by_sha(version_of(other.live, other.policy, registry).manifest_sha)
        if other.policy == rollout.policy:
            if standing.surface != pair.manifest.surface:
                raise InvalidInput(
                    "/version",
                    f"version {pair.version.version} is for surface {pair.manifest.surface!r}, the live one for "
                    f"{standing.surface!r}; another surface needs a policy of its own",
                )
        elif standing.surface == pair.manifest.surface:
            taken = [name for name in pair.manifest.defects if name in standing.defects]
            if taken:
                raise InvalidInput(
                    "/version",
                    f"defect {taken[0]!r} on {standing.surface!r} is policy {other.policy}'s; leave it to that one",
                )


def objections(
    pair: Pair, defects: Collection[str], filed: FiledReport, ports: Ports
) -> tuple[Ruling, tuple[Reason, ...]]:
    """What the gate says now about a pair on a filed report; no reasons with a go."""
    model = pair.model
    exactly = (
        filed.policy == pair.version.policy
        and filed.manifest_sha == pair.version.manifest_sha
        and filed.model_version == (None if model is None else model.lineage.version)
        and filed.report.provenance.model_sha == (None if model is None else model.sha256)
    )
    if not exactly:
        message = f"evaluation {filed.evaluation_id} is not about {pair.name}: evaluate exactly that pair"
        return Ruling.REFUSE, (Reason("another_candidate", message),)
    if set(filed.report.defects) != set(defects):
        return Ruling.REFUSE, (_other_defects(filed, defects),)
    if changed := _changed(pair, ports.registry):
        return Ruling.REFUSE, (changed,)
    # With none named, what is live for single defect types is replaced as well, and must have been tried against too.
    live = incumbents_of(ports.registry, ports.releases, ports.manifests, pair.version.policy, defects)
    for incumbent in live.values():
        verdict = filed.report.verdict.against(incumbent.name)
        if verdict.decision is not Ruling.GO:
            return verdict.decision, verdict.reasons or (Reason("no_go", "the gate said neither go nor why not"),)
    return Ruling.GO, ()


def without(stands: Iterable[Stand], *gone: Stand) -> tuple[Stand, ...]:
    """The shadows that are left when some stands answer."""
    return tuple(stand for stand in stands if not any(same(stand, other) for other in gone))


def version_of(stand: Stand, policy: PolicyName, registry: Registry) -> PolicyVersion:
    """The version that a roll-out's stand is about."""
    return next(known for known in registry.versions(policy) if known.version == stand.version)


def goes_on(pair: Pair, rollout: Rollout, registry: Registry) -> bool:
    """Whether a pair that goes live learns on: its version does, and its head is what was tried or is live already."""
    if pair.manifest.learning.updates != "continuous":
        return False
    learning = any(stand.follows_head and stand.version == pair.version.version for _, stand in rollout.stands())
    return learning or _changed(pair, registry) is None


def _other_defects(filed: FiledReport, defects: Collection[str]) -> Reason:
    tried = ", ".join(filed.report.defects) or "all"
    asked = "--gate" + "".join(f" --defect {name}" for name in defects)
    return Reason(
        "other_defects",
        f"evaluation {filed.evaluation_id} is about the defect types {tried}, the promotion about "
        f"{', '.join(defects) or 'all'}: propose it for the former, or hold a trial with {asked}",
    )


def _changed(pair: Pair, registry: Registry) -> Reason | None:
    """Why the pair is no more what its version would go on from, where that matters."""
    if pair.manifest.learning.updates != "continuous":
        return None
    head = registry.head(pair.version.policy, pair.version.version)
    warm = head is not None and head.lineage.learned_total >= pair.manifest.exploration.cold_start.outcomes
    if (head == pair.model) if pair.model is not None else not warm:
        return None
    name = "none" if head is None else f"model {head.lineage.version}"
    return Reason("candidate_changed", f"{pair.name} has learned on, its head is {name}: evaluate and propose that one")


def same(stand: Stand, other: Stand) -> bool:
    """Whether `other` answers as `stand` does."""
    return stand.version == other.version and (other.follows_head or stand.model == other.model)
