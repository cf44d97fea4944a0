"""Serve: what a worker answers from, brought up to the registry's newest models without ever serving a bad one."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from cxi_bandit.domain.decision import DecisionRequest
from cxi_bandit.domain.errors import DistributionInvalid, InvalidInput, ModelInvalid, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model, by_version
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.engine.choose import ServedRollout
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.fingerprint import recognise
from cxi_bandit.engine.learn import verified_bytes
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.overriding import Overrides
from cxi_bandit.engine.ports import ModelRoom, Registry, Releases

_ANCESTORS: Final = 16
"""How far back a worker looks for a sound model. Where so many are bad, something else is the matter."""


class Refusal(msgspec.Struct, frozen=True):
    """A published model that was not taken into service, and why; the one before it stays."""

    model: Model
    reason: str


class Refresh(msgspec.Struct, frozen=True):
    """What one look at the registry changed."""

    swapped: list[Model]
    refused: list[Refusal]
    rolled_out: list[Rollout] = []


class Serving:
    """The roll-outs that one worker serves. Reads are safe from any thread; `refresh` belongs to one thread."""

    def __init__(self, registry: Registry, releases: Releases, manifests: Manifests, room: ModelRoom) -> None:
        self._registry = registry
        self._releases = releases
        self._manifests = manifests
        self._room = room
        self._rollouts: dict[PolicyName, ServedRollout] = {}
        self._by_surface: dict[str, dict[str, ServedRollout]] = {}
        self._refused: set[str] = set()
        self._capped = False
        self.overrides = Overrides()

    @property
    def policies(self) -> Iterable[ServedPolicy]:
        """Everything served now, whatever its stage."""
        return [served for rollout in self._rollouts.values() for served in rollout.served.values()]

    @property
    def capped(self) -> bool:
        """Whether some policy counts what a shopper gets, and so asks for permits."""
        return self._capped

    @property
    def rollouts(self) -> Iterable[ServedRollout]:
        """The roll-outs served now."""
        return self._rollouts.values()

    def rollout_for(self, request: DecisionRequest) -> ServedRollout:
        """The roll-out that answers a request: of the policy it names, or of its surface and defect type.

        Raises:
            InvalidInput: There is none.
        """
        if request.policy is not None:
            named = self._rollouts.get(request.policy)
            if named is None:
                raise InvalidInput("/policy", f"no live policy {request.policy!r}; known: {', '.join(self._rollouts)}")
            if named.live.manifest.surface != request.surface:
                raise InvalidInput("/surface", f"policy {request.policy} serves {named.live.manifest.surface!r}")
            return named
        of_surface = self._by_surface.get(request.surface)
        if of_surface is None:
            raise InvalidInput(
                "/surface", f"no live policy for surface {request.surface!r}; known: {', '.join(self._by_surface)}"
            )
        found = of_surface.get(request.defect.type)
        if found is None:
            known = ", ".join(sorted(of_surface))
            raise InvalidInput(
                "/defect/type",
                f"{request.defect.type!r} is not a defect of any policy of {request.surface!r}; known: {known}",
            )
        return found

    def route(self, request: DecisionRequest) -> ServedPolicy:
        """The version that is live for a request.

        Raises:
            InvalidInput: There is none.
        """
        return self.rollout_for(request).live_for(request.defect.type)

    def refresh(self) -> Refresh:
        """Takes up live versions and their newest models; loads beside what is served, then swaps in one step.

        A model that is wrong is refused for good, one that could not be loaded for another reason is tried again. Where
        no model is served yet that could stay, the nearest sound one among its ancestors is.

        Raises:
            Unavailable: The store is away; what is served stays as it is.
        """
        swapped: list[Model] = []
        refused: list[Refusal] = []
        overrides = Overrides(self._releases.overrides())
        heads = by_version(self._registry.heads())
        versions = {(version.policy, version.version): version for version in self._registry.versions()}
        rollouts: dict[PolicyName, ServedRollout] = {}
        for rollout in self._releases.rollouts():
            served: dict[Stand, ServedPolicy] = {}
            for stage, stand in rollout.stands():
                if stand in served:
                    continue
                # The stage within this very roll-out: the version's own may be that of a later one by now.
                version = msgspec.structs.replace(versions[rollout.policy, stand.version], stage=stage)
                current = self._current(stand, version)
                wanted = self._wanted(stand, version, current, heads)
                served[stand] = current if wanted is None else self._taken_up(current, wanted, swapped, refused)
            rollouts[rollout.policy] = self._unchanged(rollout, served) or ServedRollout(rollout, served)
        by_surface: dict[str, dict[str, ServedRollout]] = {}
        for known in rollouts.values():
            by_surface.setdefault(known.live.manifest.surface, {}).update(dict.fromkeys(known.defects, known))
        rolled_out = [one.rollout for one in rollouts.values() if not self._serves(one.rollout)]
        self._rollouts, self._by_surface, self.overrides = rollouts, by_surface, overrides
        self._capped = any(known.capped for known in rollouts.values())
        return Refresh(swapped, refused, rolled_out)

    def _current(self, stand: Stand, version: PolicyVersion) -> ServedPolicy:
        """What is served of a version now; a stand that changes its stage takes its model along."""
        held = self._rollouts.get(version.policy)
        for known, served in held.served.items() if held is not None else ():
            if known.version != stand.version:
                continue
            model = None if served.model is None else served.model.lineage.version
            if known == stand or (model is not None and (stand.follows_head or model == stand.model)):
                return served if served.version == version else served.in_stage(version)
        return ServedPolicy(version, self._manifests.by_sha(version.manifest_sha), None, None)

    def _wanted(
        self,
        stand: Stand,
        version: PolicyVersion,
        current: ServedPolicy,
        heads: Mapping[tuple[PolicyName, int], Model],
    ) -> Model | None:
        """The model that a stand should answer with and does not yet."""
        if stand.follows_head:
            wanted = heads.get((version.policy, version.version))
        elif stand.model is None or (current.model is not None and current.model.lineage.version == stand.model):
            return None
        else:
            wanted = self._registry.model(version.policy, stand.model)
        return None if wanted is None or wanted == current.model or wanted.sha256 in self._refused else wanted

    def _taken_up(
        self, current: ServedPolicy, wanted: Model, swapped: list[Model], refused: list[Refusal]
    ) -> ServedPolicy:
        try:
            taken = self._with_model(current, wanted)
        except (ModelInvalid, DistributionInvalid) as error:
            # Only what is wrong with the model itself; a store that is away says nothing about it.
            self._refused.add(wanted.sha256)
            refused.append(Refusal(wanted, str(error)))
            ancestor = self._ancestor(current, wanted) if current.model is None else None
            swapped += [] if ancestor is None or ancestor.model is None else [ancestor.model]
            return ancestor or current
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the other policies' models are taken up
            refused.append(Refusal(wanted, f"{type(error).__name__}: {error}"))
            return current
        swapped.append(wanted)
        return taken

    def _serves(self, rollout: Rollout) -> bool:
        held = self._rollouts.get(rollout.policy)
        return held is not None and held.rollout == rollout

    def _unchanged(self, rollout: Rollout, served: Mapping[Stand, ServedPolicy]) -> ServedRollout | None:
        held = self._rollouts.get(rollout.policy)
        if held is None or held.rollout != rollout:
            return None
        same = all(held.served[stand] is one for stand, one in served.items())
        return held if same else None

    def _ancestor(self, policy: ServedPolicy, model: Model) -> ServedPolicy | None:
        for _ in range(_ANCESTORS):
            if model.lineage.parent is None:
                return None
            model = self._registry.model(model.lineage.policy, model.lineage.parent)
            with suppress(ModelInvalid, DistributionInvalid):
                return self._with_model(policy, model)
        return None

    def _with_model(self, policy: ServedPolicy, model: Model) -> ServedPolicy:
        if model.lineage.manifest_sha != policy.version.manifest_sha:
            raise ModelInvalid(f"model {model.lineage.policy}@{model.lineage.version} is of another manifest")
        data = verified_bytes(self._registry, model)
        scorer = self._room.load(policy.manifest, data)
        recognise(model, policy.manifest, data, scorer)
        return policy.with_model(model, scorer)
