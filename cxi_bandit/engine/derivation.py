"""Derivation: the bytes of any model version from its lineage and the log, also where they were thinned away."""

from collections import OrderedDict
from enum import StrEnum
from typing import Final

from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.model import Branch, Model
from cxi_bandit.engine.curriculum import Curriculum
from cxi_bandit.engine.fingerprint import sha256
from cxi_bandit.engine.learn import derive, missing
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import ModelRoom, OutcomeLog, Registry

_REMEMBERED: Final = 8


class AuditVerdict(StrEnum):
    """What the audit found; only `identical` is proof, only `different` is an alarm."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    ERASED = "unverifiable: erased"
    EXPIRED = "unverifiable: expired"
    THINNED = "unverifiable: thinned"
    OTHER_BUILD = "unverifiable: other build"


class Derivations:
    """Derives models again. Remembers the last few, so that a line of thinned models costs each segment once."""

    def __init__(self, registry: Registry, outcomes: OutcomeLog, manifests: Manifests, room: ModelRoom) -> None:
        self._registry = registry
        self._outcomes = outcomes
        self._manifests = manifests
        self._room = room
        self._recent: OrderedDict[tuple[PolicyName, ModelVersion], bytes] = OrderedDict()

    def bytes_of(self, model: Model) -> bytes | AuditVerdict:
        """The bytes as committed, or derived again through thinned parents from the nearest ancestor that has its own.

        Returns:
            Why they cannot be had, where they cannot; `different` where what was derived is not what was committed.
        """
        line: list[Model] = []
        data = self._at_hand(model)
        while data is None:
            line.append(model)
            parent = model.lineage.parent
            if parent is None:
                break
            model = self._registry.model(model.lineage.policy, parent)
            data = self._at_hand(model)
        for link in reversed(line):
            found = self.derived(link, data)
            if isinstance(found, AuditVerdict):
                return found
            if sha256(found) != link.sha256:
                return AuditVerdict.DIFFERENT
            data = found
            self.remember(link, found)
        return AuditVerdict.EXPIRED if data is None else data

    def derived(self, model: Model, parent: bytes | None) -> bytes | AuditVerdict:
        """The bytes that a model's lineage gives on its parent's, or why that cannot be told."""
        lineage = model.lineage
        if lineage.vw_build != self._room.build:
            return AuditVerdict.OTHER_BUILD
        manifest = self._manifests.by_sha(lineage.manifest_sha)
        curriculum = Curriculum.of(lineage, manifest)
        segment = self._outcomes.segment(
            lineage.policy,
            lineage.after,
            lineage.up_to,
            lineage.ledger_cut,
            lineage.unlearn_cut,
            heard=curriculum.settles,
        )
        lost = missing(segment, lineage, manifest)
        if lost.expired:
            return AuditVerdict.EXPIRED
        if lost.erased:
            return AuditVerdict.ERASED
        if lineage.branch is Branch.START:
            parent = None
        return derive(self._room, manifest, parent, curriculum.lessons(segment))

    def remember(self, model: Model, data: bytes) -> None:
        """Keeps bytes that are known to be the model's, for its children."""
        self._recent[model.lineage.policy, model.lineage.version] = data
        self._recent.move_to_end((model.lineage.policy, model.lineage.version))
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def _at_hand(self, model: Model) -> bytes | None:
        key = (model.lineage.policy, model.lineage.version)
        recent = self._recent.get(key)
        return self._registry.model_bytes(*key) if recent is None else recent
