"""The contract's messages as they travel: typed, closed, and each error naming its field by JSON pointer."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cxi_bandit.domain.assignment import Arm, Assignment
from cxi_bandit.domain.decision import Durability, Fallback, Stage
from cxi_bandit.domain.explanation import Why
from cxi_bandit.domain.gate import Reason, Ruling
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.reward import RewardStatus

Word = Annotated[str, Meta(min_length=1, max_length=128)]
Identifier = Annotated[str, Meta(min_length=1, max_length=256)]
Sentence = Annotated[str, Meta(min_length=1, max_length=1000)]
AwareTime = Annotated[datetime, Meta(tz=True)]

BATCH_LIMIT = 1000
DEFECTS_LIMIT = 16


class DefectBody(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Something wrong with this shopper's experience; both numbers in [0, 1]."""

    type: Word
    severity: float
    confidence: float


class OfferBody(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An intervention the caller allows, with its features for this request."""

    id: Word
    features: dict[str, Any] = {}


class DecisionBody(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/decisions`.

    Features are not typed here but by the policy's manifest: one that it does not know may be of any shape, since a
    client's release must not become an outage. It brings one `defect`, or several `defects`, each of another type.
    """

    surface: Word
    defect: DefectBody | UnsetType = UNSET
    defects: Annotated[list[DefectBody], Meta(min_length=1, max_length=DEFECTS_LIMIT)] | UnsetType = UNSET
    policy: Word | None = None
    subject: Identifier | None = None
    context: dict[str, Any] = {}
    interventions: Annotated[list[OfferBody], Meta(max_length=256)] | None = None
    baseline: Word | None = None


class DecisionBatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/decisions/batch`."""

    decisions: Annotated[list[DecisionBody], Meta(min_length=1, max_length=BATCH_LIMIT)]


class RawDecisionBatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same with items that are decoded one by one, so that what is wrong in one spoils no other."""

    decisions: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=BATCH_LIMIT)]


class Reasons(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Why a dry run came out as it did.

    Attributes:
        excluded: Interventions that are not eligible, with the rule that removed each.
        basis: Who gave the vector, what it was before floors, and the features that moved it.
        override: Of a person, where one chose.
        assignment: The shopper's arm, and what the others would draw from.
    """

    excluded: dict[InterventionId, str]
    basis: Why
    override: Override | None
    assignment: Assignment | None


class DecisionAnswer(msgspec.Struct, frozen=True, gc=False):
    """What to do, and everything needed to log or learn from it elsewhere.

    A dry run has no ids and no propensity, and says `why`.
    """

    decision_id: UUID | None
    intervention: str
    propensity: float | None
    probabilities: dict[str, float]
    policy: str
    policy_version: int
    model_version: int | None
    stage: Stage
    durability: Durability
    closes_at: datetime | None
    fallback: Fallback | UnsetType = UNSET
    arm: Arm | UnsetType = UNSET
    override_id: int | UnsetType = UNSET
    defect: str | UnsetType = UNSET
    why: Reasons | UnsetType = UNSET


class WhyPassedOver(StrEnum):
    """Why a defect was passed over.

    `outranked`: others were more worth acting on. `unavailable`: its decision could not be made durable in time.
    """

    OUTRANKED = "outranked"
    UNAVAILABLE = "unavailable"


class PassedOver(msgspec.Struct, frozen=True, gc=False):
    """A defect that nothing was decided about, and so nothing logged.

    Attributes:
        score: What it was ranked by: severity x confidence x (benefit less uncertainty).
        benefit: What the live model expects the best intervention to gain over `hold`; null without a model.
        uncertainty: A standard error of that.
    """

    defect: str
    reason: WhyPassedOver
    score: float
    benefit: float | None
    uncertainty: float | None


class DecisionsAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer about several defects: the decisions, the one most worth acting on first, and who went without."""

    request_id: UUID | None
    decisions: list[DecisionAnswer]
    passed_over: list[PassedOver]


class Problem(msgspec.Struct, frozen=True, gc=False):
    """An RFC 9457 problem document; `pointer` is the JSON pointer of the field at fault.

    `decision` and `reasons` are the gate's, where it does not say go.
    """

    type: str
    title: str
    status: int
    detail: str
    pointer: str | UnsetType = UNSET
    decision: Ruling | UnsetType = UNSET
    reasons: tuple[Reason, ...] | UnsetType = UNSET


class DecisionBatchAnswer(msgspec.Struct, frozen=True):
    """One answer or problem for each decision asked for, in order.

    The items' type is said in `openapi` only: msgspec has no words for a union of untagged messages.
    """

    decisions: Sequence[Any]


class RewardBody(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One observation about a decision; exactly one of a value and `retracts`.

    It names the decision or the shopper (`subject`), and an `order` beside where there is one, or the order alone.
    """

    reward_id: Identifier
    metric: Word
    occurred_at: AwareTime
    decision_id: UUID | None = None
    subject: Identifier | None = None
    order: Identifier | None = None
    value: float | None = None
    corrects: Identifier | None = None
    retracts: Identifier | None = None


class RewardResult(msgspec.Struct, frozen=True, gc=False):
    """What became of one event; `reward_id` is null when the event could not even be read."""

    reward_id: str | None
    status: RewardStatus
    reason: str | None = None


class RewardsAnswer(msgspec.Struct, frozen=True):
    """One result for each event sent, in order."""

    results: list[RewardResult]
