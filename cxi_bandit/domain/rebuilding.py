"""Requests for a rebuild: why a policy's model is to be learned again, and which models answered."""

from datetime import datetime

import msgspec

from cxi_bandit.domain.identifiers import ModelVersion, PolicyName


class RebuildRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Somebody, or the manifest's schedule, wants what was learned to be mended.

    Attributes:
        models: The heads, one of each version of the policy, that stood when it was answered; None while it waits.
    """

    request_id: int
    policy: PolicyName
    reason: str
    asked_at: datetime
    models: tuple[ModelVersion, ...] | None = None
    answered_at: datetime | None = None
