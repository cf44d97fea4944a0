"""Audit: every model derived again under its own lineage, every decision executed again, compared bit for bit."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.model import Branch, Model
from cxi_bandit.engine.decide import DRAW_LABEL, ServedPolicy, distribution
from cxi_bandit.engine.fingerprint import sha256
from cxi_bandit.engine.learn import derive, intact, teachable
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Keyring, ModelRoom, OutcomeLog, Registry
from cxi_bandit.policy.draw import draw, uniform


class AuditVerdict(StrEnum):
    """What the audit found; only `identical` is proof, only `different` is an alarm."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    ERASED = "unverifiable: erased"
    EXPIRED = "unverifiable: expired"
    OTHER_BUILD = "unverifiable: other build"


class ModelFinding(msgspec.Struct, frozen=True):
    """The audit of one model version."""

    model: Model
    verdict: AuditVerdict
    derived_sha256: str | None


def audit_models(
    models: list[Model], registry: Registry, outcomes: OutcomeLog, manifests: Manifests, room: ModelRoom
) -> Iterator[ModelFinding]:
    """Derives each model from its parent's committed bytes and its own segment and cuts; yields as it goes.

    Each version is derived from the parent bytes *as derived here* when the parent was among `models` and proved
    identical, so one pass over all versions proves the whole chain from its start.
    """
    derived: dict[int, bytes] = {}
    for model in models:
        lineage = model.lineage
        if lineage.vw_build != room.build:
            yield ModelFinding(model, AuditVerdict.OTHER_BUILD, None)
            continue
        manifest = manifests.by_sha(lineage.manifest_sha)
        segment = outcomes.segment(lineage.policy, lineage.after, lineage.up_to, lineage.ledger_cut)
        if not intact(segment, lineage.erasure_cut):
            yield ModelFinding(model, AuditVerdict.EXPIRED if segment.expired else AuditVerdict.ERASED, None)
            continue
        parent = None
        if lineage.branch is not Branch.START and lineage.parent is not None:
            parent = derived.pop(lineage.parent, None) or registry.model_bytes(lineage.policy, lineage.parent)
            if parent is None:
                yield ModelFinding(model, AuditVerdict.EXPIRED, None)
                continue
        data = derive(room, manifest, parent, teachable(segment, lineage.manifest_sha))
        same = sha256(data) == model.sha256 and registry.model_bytes(lineage.policy, lineage.version) in (data, None)
        if same:
            derived[lineage.version] = data
        yield ModelFinding(model, AuditVerdict.IDENTICAL if same else AuditVerdict.DIFFERENT, sha256(data))


class DecisionFinding(msgspec.Struct, frozen=True):
    """The audit of one decision: the vector and draw it should have had beside those that were logged."""

    decision: Decision
    verdict: AuditVerdict
    probabilities: tuple[float, ...] | None
    u: float | None


class DecisionAudit:
    """Executes logged decisions again; keeps the models it has loaded, so a whole log is cheap."""

    def __init__(self, registry: Registry, manifests: Manifests, keyring: Keyring, room: ModelRoom) -> None:
        self._registry = registry
        self._manifests = manifests
        self._keyring = keyring
        self._room = room
        self._served: dict[tuple[str, int, int | None], ServedPolicy | None] = {}

    def audit(self, decision: Decision) -> DecisionFinding:
        """From the row, its model, its manifest and its key alone: the same probabilities and draw, bit for bit?"""
        served = self.serving(decision)
        if served is None:
            return DecisionFinding(decision, AuditVerdict.EXPIRED, None, None)
        if served.model is not None and served.model.lineage.vw_build != self._room.build:
            return DecisionFinding(decision, AuditVerdict.OTHER_BUILD, None, None)
        again = distribution(served, decision.situation)
        u = uniform(self._keyring.draw_key(decision.draw_key_id), DRAW_LABEL, decision.decision_id)
        index = draw(again.probabilities, u)
        same = (
            again.probabilities == decision.probabilities
            and u == decision.u
            and decision.situation.eligible[index] == decision.intervention
            and again.probabilities[index] == decision.propensity
        )
        verdict = AuditVerdict.IDENTICAL if same else AuditVerdict.DIFFERENT
        return DecisionFinding(decision, verdict, again.probabilities, u)

    def serving(self, decision: Decision) -> ServedPolicy | None:
        """The policy and model that made a decision, as a worker served them; None where the model was thinned away."""
        key = (decision.policy, decision.policy_version, decision.model_version)
        if key not in self._served:
            self._served[key] = self._load(decision)
        return self._served[key]

    def _load(self, decision: Decision) -> ServedPolicy | None:
        manifest = self._manifests.by_sha(decision.manifest_sha)
        version = next(
            (known for known in self._registry.versions(decision.policy) if known.version == decision.policy_version),
            None,
        )
        if version is None:
            raise NotFound("policy version", f"{decision.policy} version {decision.policy_version}")
        if decision.model_version is None:
            return ServedPolicy(version, manifest, None, None)
        data = self._registry.model_bytes(decision.policy, decision.model_version)
        if data is None:
            return None
        model = self._registry.model(decision.policy, decision.model_version)
        return ServedPolicy(version, manifest, model, self._room.load(manifest, data))
