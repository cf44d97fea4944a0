"""Serve: what a worker answers from, brought up to the registry's newest models without ever serving a bad one."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

from cxi_bandit.domain.decision import DecisionRequest, Stage
from cxi_bandit.domain.errors import DistributionInvalid, InvalidInput, ModelInvalid, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.fingerprint import recognise
from cxi_bandit.engine.learn import verified_bytes
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom, Registry

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


class Serving:
    """The live policies of one worker. Reads are safe from any thread; `refresh` belongs to one thread."""

    def __init__(self, registry: Registry, manifests: Manifests, room: ModelRoom) -> None:
        self._registry = registry
        self._manifests = manifests
        self._room = room
        self._served: dict[PolicyName, ServedPolicy] = {}
        self._by_surface: dict[str, ServedPolicy] = {}
        self._refused: set[str] = set()

    @property
    def policies(self) -> Iterable[ServedPolicy]:
        """Everything served now."""
        return self._served.values()

    def route(self, request: DecisionRequest) -> ServedPolicy:
        """The policy that answers a request: the one it names, or the live one of its surface.

        Raises:
            InvalidInput: There is none.
        """
        if request.policy is not None:
            served = self._served.get(request.policy)
            if served is None:
                raise InvalidInput("/policy", f"no live policy {request.policy!r}; known: {', '.join(self._served)}")
            if served.manifest.surface != request.surface:
                raise InvalidInput("/surface", f"policy {request.policy} serves {served.manifest.surface!r}")
            return served
        served = self._by_surface.get(request.surface)
        if served is None:
            raise InvalidInput(
                "/surface", f"no live policy for surface {request.surface!r}; known: {', '.join(self._by_surface)}"
            )
        return served

    def refresh(self) -> Refresh:
        """Takes up live versions and their newest models; loads beside what is served, then swaps in one step.

        A model that is wrong is refused for good, one that could not be loaded for another reason is tried again. Where
        no model is served yet that could stay, the nearest sound one among its ancestors is.

        Raises:
            Unavailable: The store is away; what is served stays as it is.
        """
        swapped: list[Model] = []
        refused: list[Refusal] = []
        heads = {(model.lineage.policy, model.lineage.policy_version): model for model in self._registry.heads()}
        served: dict[PolicyName, ServedPolicy] = {}
        for version in self._registry.versions():
            if version.stage is not Stage.LIVE:
                continue
            current = self._current(version)
            head = heads.get((version.policy, version.version))
            if head is not None and head != current.model and head.sha256 not in self._refused:
                try:
                    current = self._with_model(current, head)
                    swapped.append(head)
                except (ModelInvalid, DistributionInvalid) as error:
                    # Only what is wrong with the model itself; a store that is away says nothing about it.
                    self._refused.add(head.sha256)
                    refused.append(Refusal(head, str(error)))
                    if current.model is None and (ancestor := self._ancestor(current, head)) is not None:
                        current = ancestor
                        swapped += [] if ancestor.model is None else [ancestor.model]
                except Unavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever it was, the other policies' models are taken up
                    refused.append(Refusal(head, f"{type(error).__name__}: {error}"))
            served[version.policy] = current
        self._served = served
        self._by_surface = {policy.manifest.surface: policy for policy in served.values()}
        return Refresh(swapped, refused)

    def _current(self, version: PolicyVersion) -> ServedPolicy:
        held = self._served.get(version.policy)
        if held is not None and held.version == version:
            return held
        return ServedPolicy(version, self._manifests.by_sha(version.manifest_sha), None, None)

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
