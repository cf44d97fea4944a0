"""Audit: every model derived again under its own lineage, every decision executed again, compared bit for bit."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD, Decision
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.model import Model
from cxi_bandit.engine.decide import DRAW_LABEL, Distribution, ServedPolicy, certain, distribution, imitation
from cxi_bandit.engine.derivation import AuditVerdict, Derivations
from cxi_bandit.engine.fingerprint import sha256
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.placement import Placements
from cxi_bandit.engine.ports import Keyring, ModelRoom, OutcomeLog, Registry, Releases
from cxi_bandit.policy.draw import draw, uniform

_REMEMBERED: Final = 32

__all__ = ["AuditVerdict", "DecisionAudit", "DecisionFinding", "ModelFinding", "audit_models"]


class ModelFinding(msgspec.Struct, frozen=True):
    """The audit of one model version."""

    model: Model
    verdict: AuditVerdict
    derived_sha256: str | None


def audit_models(
    models: list[Model], registry: Registry, outcomes: OutcomeLog, manifests: Manifests, room: ModelRoom
) -> Iterator[ModelFinding]:
    """Derives each model from its parent's bytes and its own segment and cuts; yields as it goes.

    Each version is derived from the parent bytes *as derived here* when the parent was just before it among `models`
    and proved identical, so one pass over all versions proves the whole chain from its start. A parent that was thinned
    away is derived first.
    """
    derivations = Derivations(registry, outcomes, manifests, room)
    for model in models:
        lineage = model.lineage
        parent: bytes | AuditVerdict | None = None
        if lineage.parent is not None:
            parent = derivations.bytes_of(registry.model(lineage.policy, lineage.parent))
        # What a model itself misses is said first: an erased row of its own, not that of its parent.
        data = derivations.derived(model, None if isinstance(parent, AuditVerdict) else parent)
        if isinstance(data, AuditVerdict):
            yield ModelFinding(model, data, None)
            continue
        if isinstance(parent, AuditVerdict):
            yield ModelFinding(model, parent, None)
            continue
        same = sha256(data) == model.sha256 and registry.model_bytes(lineage.policy, lineage.version) in (data, None)
        if same:
            derivations.remember(model, data)
        yield ModelFinding(model, AuditVerdict.IDENTICAL if same else AuditVerdict.DIFFERENT, sha256(data))


class DecisionFinding(msgspec.Struct, frozen=True):
    """The audit of one decision: the vector and draw it should have had beside those that were logged."""

    decision: Decision
    verdict: AuditVerdict
    probabilities: tuple[float, ...] | None
    u: float | None


class DecisionAudit:
    """Executes logged decisions again; keeps the last few models it has loaded, so a whole log is cheap.

    Args:
        outcomes: With it, a model whose bytes were thinned away is derived again, which may take long; without it the
            verdict on such a model's decisions is `thinned`.
    """

    def __init__(
        self,
        registry: Registry,
        releases: Releases,
        manifests: Manifests,
        keyring: Keyring,
        room: ModelRoom,
        outcomes: OutcomeLog | None = None,
    ) -> None:
        self._registry = registry
        self._placements = Placements(releases)
        self._manifests = manifests
        self._keyring = keyring
        self._room = room
        self._derivations = None if outcomes is None else Derivations(registry, outcomes, manifests, room)
        self._served: OrderedDict[tuple[str, int, int | None], ServedPolicy | AuditVerdict] = OrderedDict()

    def audit(self, decision: Decision) -> DecisionFinding:
        """From the row, its model, its manifest and its key alone: the same probabilities and draw, bit for bit?

        And from the roll-out or the pin that it names: the same arm, and somebody who answered it?
        """
        served = self._found(decision)
        if isinstance(served, AuditVerdict):
            return DecisionFinding(decision, served, None, None)
        if served.model is not None and served.model.lineage.vw_build != self._room.build:
            return DecisionFinding(decision, AuditVerdict.OTHER_BUILD, None, None)
        again = _drawn_again(served, decision)
        u = uniform(self._keyring.draw_key(decision.draw_key_id), DRAW_LABEL, decision.decision_id)
        index = draw(again.probabilities, u)
        same = (
            again.probabilities == decision.probabilities
            and u == decision.u
            and decision.situation.eligible[index] == decision.intervention
            and again.probabilities[index] == decision.propensity
            and self._placements.holds(decision)
        )
        verdict = AuditVerdict.IDENTICAL if same else AuditVerdict.DIFFERENT
        return DecisionFinding(decision, verdict, again.probabilities, u)

    def serving(self, decision: Decision) -> ServedPolicy | None:
        """The policy and model that made a decision, as a worker served them; None where the model cannot be had."""
        served = self._found(decision)
        return None if isinstance(served, AuditVerdict) else served

    def _found(self, decision: Decision) -> ServedPolicy | AuditVerdict:
        key = (decision.policy, decision.policy_version, decision.model_version)
        if key not in self._served:
            self._served[key] = self._load(decision)
            if len(self._served) > _REMEMBERED:
                self._served.popitem(last=False)
        return self._served[key]

    def _load(self, decision: Decision) -> ServedPolicy | AuditVerdict:
        manifest = self._manifests.by_sha(decision.manifest_sha)
        version = next(
            (known for known in self._registry.versions(decision.policy) if known.version == decision.policy_version),
            None,
        )
        if version is None:
            raise NotFound("policy version", f"{decision.policy} version {decision.policy_version}")
        if decision.model_version is None:
            return ServedPolicy(version, manifest, None, None)
        model = self._registry.model(decision.policy, decision.model_version)
        data = self._bytes(model)
        if isinstance(data, AuditVerdict):
            return data
        return ServedPolicy(version, manifest, model, self._room.load(manifest, data))

    def _bytes(self, model: Model) -> bytes | AuditVerdict:
        if self._derivations is not None:
            return self._derivations.bytes_of(model)
        data = self._registry.model_bytes(model.lineage.policy, model.lineage.version)
        return AuditVerdict.THINNED if data is None else data


def _drawn_again(served: ServedPolicy, decision: Decision) -> Distribution:
    """What must have been drawn from: a person's choice, `hold` for who is left alone, or the policy's vector."""
    situation, assignment = decision.situation, decision.assignment
    if decision.override_id is not None:
        return certain(situation.eligible, decision.intervention)
    if assignment is None:
        return distribution(served, situation)
    if assignment.arm is Arm.HOLD:
        return certain(situation.eligible, HOLD)
    if assignment.baseline is not None:
        return imitation(served, situation, assignment.baseline)
    return distribution(served, situation)
