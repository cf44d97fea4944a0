"""Erasures: what went, which models had learned it, and the certificate that says so without naming anybody."""

from datetime import datetime

import msgspec

from cxi_bandit.domain.identifiers import ModelVersion, PolicyName


class Erasure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One numbered erasure of a policy's decisions.

    Attributes:
        removed: Rows removed or emptied, by table.
        learnable: Outcome positions emptied that a model may have learned.
    """

    policy: PolicyName
    number: int
    erased_at: datetime
    removed: dict[str, int]
    learnable: tuple[int, ...]


class PolicyErasure(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did to one policy, as a certificate says it.

    Attributes:
        erasure_number: The policy's erasures are counted; a model whose lineage knows this number cannot have
            learned from what went.
        models_affected: Models that had learned from what went, or were derived from one that had.
        rebuild_request: What asks the learner to replace them; it answers to this number.
        replaced_by: The models that replaced them, where the rebuild was waited for.
    """

    policy: PolicyName
    erasure_number: int
    decisions: int
    removed: dict[str, int]
    models_affected: tuple[ModelVersion, ...]
    rebuild_request: int
    replaced_by: tuple[ModelVersion, ...]


class ErasureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a certificate. It holds no shopper's key, no pseudonym and no decision id.

    Attributes:
        other: Rows removed by further steps of the erasure, by table.
    """

    issued_at: datetime
    reason: str
    decided_until: datetime
    policies: tuple[PolicyErasure, ...]
    other: dict[str, int]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure record under the SHA-256 of its exact text.

    Attributes:
        sha256: Of `document`, hex.
        document: The record as JSON text.
    """

    sha256: str
    document: str
