"""Models: VW weights with their lineage, each a pure function of what the lineage names."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName


class Branch(StrEnum):
    """How a model came to be: from nothing, by learning on, or by learning a segment again at a later ledger cut.

    `warm`: on the log of other versions, before the version had one of its own.
    """

    START = "start"
    MAIN = "main"
    REBUILD = "rebuild"
    WARM = "warm"


class Lineage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Everything a model's bytes are a function of.

    Attributes:
        policy_version: The version of the policy (its manifest) that the model belongs to.
        version: Counts all models of the policy, over its versions and branches.
        parent: The model these bytes were derived from; None only for a start.
        after: Outcome-log position where the segment starts, exclusive.
        up_to: Outcome-log position where the segment ends, inclusive.
        ledger_cut: Rewards are taken as known at this ledger position.
        erasure_cut: Erasures up to this number had happened: their rows were not there to be learned.
        unlearn_cut: Unlearnings up to this number were heeded: their rows were there and left out.
        learned: Outcomes learned in this segment.
        learned_total: Outcomes learned from the start on, along the parents.
        taught_from: Other manifests whose rows were learned too, settled by the model's own; sorted. Mostly none.
    """

    policy: PolicyName
    policy_version: int
    version: ModelVersion
    branch: Branch
    parent: ModelVersion | None
    manifest_sha: ManifestSha
    vw_build: str
    after: int
    up_to: int
    ledger_cut: int
    erasure_cut: int
    learned: int
    learned_total: int
    unlearn_cut: int = 0
    taught_from: tuple[ManifestSha, ...] = ()


class Model(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A published model: its lineage, the SHA-256 of its bytes, and when it was committed. The bytes are fetched apart.

    Attributes:
        golden: The model's own probability vectors for the manifest's golden situations, taken by the learner; whoever
            loads the bytes must get the same vectors before serving them.
    """

    lineage: Lineage
    sha256: str
    size_bytes: int
    golden: tuple[tuple[float, ...], ...]
    created_at: datetime


def by_version(models: Iterable[Model]) -> dict[tuple[PolicyName, int], Model]:
    """Models by the version they belong to, where there is one of each: the heads, as the registry gives them."""
    return {(model.lineage.policy, model.lineage.policy_version): model for model in models}
