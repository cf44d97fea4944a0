"""A decision: what was asked, what could be done, with which probabilities, and what was drawn."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from cxi_bandit.domain.assignment import Assignment
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ManifestSha, ModelVersion, PolicyName

FeatureValue = bool | float | str
Features = dict[str, FeatureValue]

HOLD = InterventionId("hold")


class Stage(StrEnum):
    """What a policy version is doing."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    CANARY = "canary"
    LIVE = "live"
    RETIRED = "retired"


class Durability(StrEnum):
    """What stands behind an answered decision."""

    COMMITTED = "committed"
    SPOOLED = "spooled"
    UNLOGGED = "unlogged"


class Fallback(StrEnum):
    """Why the policy's model did not choose; absent when it did."""

    COLD_START = "cold_start"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_REFUSED = "model_refused"
    UNLOGGED = "unlogged"


class Defect(msgspec.Struct, frozen=True, gc=False):
    """Something wrong with this shopper's experience; severity and confidence in [0, 1]."""

    type: str
    severity: float
    confidence: float


class Offer(msgspec.Struct, frozen=True, gc=False):
    """One of the interventions the caller allows, with features of this very request."""

    id: InterventionId
    features: Features = {}


class DecisionRequest(msgspec.Struct, frozen=True, gc=False):
    """A surface's question, decoded but not yet held against a manifest.

    Attributes:
        baseline: What the caller would do by itself; an apprentice imitates it.
    """

    surface: str
    defect: Defect
    context: Features = {}
    policy: PolicyName | None = None
    subject: str | None = None
    interventions: tuple[Offer, ...] | None = None
    baseline: InterventionId | None = None


class Situation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a model sees: validated, in manifest order, the eligible interventions in canonical (manifest) order.

    Attributes:
        offered: The caller's per-request intervention features, by intervention; empty when the catalogue's are used.
    """

    defect: Defect
    context: Features
    eligible: tuple[InterventionId, ...]
    offered: dict[InterventionId, Features] = {}


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of the decision log: enough to execute the decision again, bit for bit.

    Attributes:
        decided_at: The time its id carries, millisecond precision.
        closes_at: End of the attribution window.
        model_version: None when no model was consulted.
        subject: Keyed HMAC of the shopper, never the shopper's own key.
        excluded: Interventions that were not eligible, with the rule that removed each.
        probabilities: The exact float64 vector that was sampled from, in the order of `situation.eligible`.
        propensity: `probabilities` at the drawn intervention.
        draw_key_id: Which key of the keyed hash gave `u`.
        u: The uniform number in [0, 1) that drew the intervention.
        assignment: Which arm the shopper is in; None where the policy has only the live one and nobody scores beside.
        override_id: The override that chose instead of the policy.
        request_id: Common to the decisions about several defects of one request.
    """

    decision_id: DecisionId
    decided_at: datetime
    closes_at: datetime
    policy: PolicyName
    policy_version: int
    manifest_sha: ManifestSha
    model_version: ModelVersion | None
    stage: Stage
    surface: str
    subject: bytes | None
    situation: Situation
    excluded: dict[InterventionId, str]
    probabilities: tuple[float, ...]
    intervention: InterventionId
    propensity: float
    draw_key_id: str
    u: float
    fallback: Fallback | None = None
    assignment: Assignment | None = None
    override_id: int | None = None
    request_id: UUID | None = None
