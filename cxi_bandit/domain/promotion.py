"""Promotions: a candidate on its way to live, step by step, each on evidence and each with a name behind it."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName


class Step(StrEnum):
    """How far a promotion is. The last three are ends."""

    PROPOSED = "proposed"
    CANARY = "canary"
    LIVE = "live"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"

    @property
    def ended(self) -> bool:
        """Whether nothing more can become of it but a rollback of what went live."""
        return self in (Step.LIVE, Step.REFUSED, Step.ROLLED_BACK)


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A person's yes."""

    by: str
    at: datetime


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the evaluation report promised, to be held against what came: values in the reward's own unit.

    Attributes:
        estimate: Which estimator's.
        candidate: The candidate's value.
        interval: Of that value; None where the report had none.
        incumbent: The incumbent's value on the same rows, where the report says.
    """

    estimate: str
    candidate: float | None
    interval: tuple[float, float] | None
    incumbent: float | None = None


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate's way: exactly this pair of manifest and model, on exactly this report.

    Attributes:
        promotion_id: Given by the store, from 1; 0 before.
        model: The starting model; None for a version that starts cold.
        evaluation_id: The report it stands on.
        incumbent: Name of what it was tried against; with another one live it is void.
        defects: The defect types it is about; empty for all.
        approvals: By different people, none of them twice.
        canary_step: Index of the canary's present share; -1 before.
        reason: Why it stands where it stands.
        changed_at: Of the last change.
    """

    policy: PolicyName
    version: int
    manifest_sha: ManifestSha
    model: ModelVersion | None
    evaluation_id: int
    incumbent: str
    proposed_by: str
    proposed_at: datetime
    forecast: Forecast | None = None
    defects: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    step: Step = Step.PROPOSED
    canary_step: int = -1
    reason: str = ""
    changed_at: datetime
    promotion_id: int = 0
