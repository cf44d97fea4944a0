"""How a model is recognised: the SHA-256 of its bytes, and the vectors it gives for a few golden situations."""

import hashlib

from cxi_bandit.domain.decision import Defect, Features, Situation
from cxi_bandit.domain.errors import ModelInvalid
from cxi_bandit.domain.model import Model
from cxi_bandit.engine.ports import Scorer
from cxi_bandit.policy.eligibility import Eligibility
from cxi_bandit.policy.manifest import CategoryFeature, FeatureType, Manifest, NumberFeature
from cxi_bandit.policy.pmf import checked


def sha256(data: bytes) -> str:
    """Hex SHA-256: VW's own checksum covers only the header, so this one guards the weights."""
    return hashlib.sha256(data).hexdigest()


def golden_situations(manifest: Manifest) -> list[Situation]:
    """One situation per defect type, every feature at a fixed value within its range."""
    context: Features = {name: _middle(kind) for name, kind in manifest.context.features.items()}
    rules = Eligibility(manifest)
    situations = []
    for name in manifest.defects:
        defect = Defect(type=name, severity=0.5, confidence=0.75)
        eligible = rules.resolve(defect, context, None).eligible
        situations.append(Situation(defect=defect, context=context, eligible=eligible))
    return situations


def _middle(kind: FeatureType) -> bool | float | str:
    if isinstance(kind, NumberFeature):
        return kind.min + (kind.max - kind.min) / 4
    if isinstance(kind, CategoryFeature):
        return kind.values[0] if kind.values else "golden"
    return True


def golden_vectors(manifest: Manifest, scorer: Scorer) -> tuple[tuple[float, ...], ...]:
    """The scorer's vectors for the golden situations, each checked.

    Raises:
        DistributionInvalid: The model gives something that is no distribution; it must not be published.
    """
    return tuple(
        tuple(checked(scorer.probabilities(situation), len(situation.eligible)))
        for situation in golden_situations(manifest)
    )


def recognise(model: Model, manifest: Manifest, data: bytes, scorer: Scorer) -> None:
    """Makes sure that loaded bytes are the model they claim to be, before anything is served from them.

    Raises:
        ModelInvalid: SHA-256 or golden vectors differ from what the learner committed.
    """
    name = f"{model.lineage.policy}@{model.lineage.version}"
    if sha256(data) != model.sha256:
        raise ModelInvalid(f"the bytes of model {name} do not match their SHA-256")
    if golden_vectors(manifest, scorer) != model.golden:
        raise ModelInvalid(f"model {name} gives other golden probabilities than when it was published")
