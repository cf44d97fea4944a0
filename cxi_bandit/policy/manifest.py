"""Policy manifests: the typed form of `policies/*.toml`, the one place where a policy's behaviour is declared.

Every table refuses unknown keys: a misspelt key must not silently mean its default.
"""

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cxi_bandit.domain.decision import HOLD, Features, FeatureValue
from cxi_bandit.domain.identifiers import InterventionId, ManifestSha, PolicyName
from cxi_bandit.policy.explorers import Explorer, Setting, SquareCB
from cxi_bandit.policy.key_types import Money, Name, PolicyTitle, Seconds, Share
from cxi_bandit.policy.limit_rules import Limits
from cxi_bandit.policy.release_rules import Gate, RolloutRules


class NumberFeature(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="number"
):
    """A ranged number; the model sees it scaled to [0, 1], through log(1 + x - min) where `scale` says so."""

    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"
    required: bool = False
    unit: str = ""
    description: str = ""


class CategoryFeature(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="category"
):
    """One of a closed list of values, or with `values` empty any string up to `max_length` characters."""

    values: tuple[str, ...] = ()
    max_length: Annotated[int, Meta(ge=1, le=256)] = 64
    required: bool = False
    description: str = ""


class FlagFeature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="flag"):
    """True or false."""

    required: bool = False
    description: str = ""


FeatureType = NumberFeature | CategoryFeature | FlagFeature


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The features a policy knows, and what becomes of the others."""

    unknown_features: Literal["drop", "refuse"] = "drop"
    features: dict[Name, FeatureType] = {}


class DefectType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of defect this surface can have."""

    description: str = ""


class Comparison(StrEnum):
    """How an eligibility condition compares a field with its value."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    ONE_OF = "one_of"


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typed test of `defect.severity`, `defect.confidence` or `context.<feature>`. A missing field fails it."""

    field: str
    comparison: Comparison
    value: FeatureValue | tuple[str, ...]


class Intervention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action of the catalogue.

    Attributes:
        cost: Price of one use in the reward's own unit; taken off the reward, once.
        price: Money that one use takes from the budgets; the reward knows nothing of it.
        budget_per_day: Most money for it on one day; None for no bound.
        per_day: Most uses on one day, as of a stock that is filled overnight; None for no bound.
        defects: Defect types it can answer; empty means all.
        when: Conditions that must all hold for it to be eligible.
    """

    id: Name
    description: str = ""
    cost: Annotated[float, Meta(ge=0.0)] = 0.0
    price: Money = 0.0
    budget_per_day: Money | None = None
    per_day: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    features: Features = {}
    defects: tuple[Name, ...] = ()
    when: tuple[Condition, ...] = ()


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One observable the senders report; a value outside the range is quarantined, or counts at the range's bound."""

    weight: float
    min: float
    max: float
    aggregate: Literal["sum", "max", "last"] = "sum"
    outliers: Literal["quarantine", "clip"] = "quarantine"
    description: str = ""


class Attribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the policy's decisions an event goes to that names only the shopper or the order.

    Attributes:
        credit: The last or the first of the decisions that qualify has it all, or each an equal share.
        window_seconds: Most time from a decision to an event of its shopper; None takes the horizon.
        metrics: What may be attributed; empty means all metrics.
    """

    credit: Literal["last", "first", "even"] = "last"
    window_seconds: Seconds | None = None
    metrics: tuple[Name, ...] = ()


class Reward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events become one number.

    The sum of weight x aggregate, or `default` when nothing arrived, less the intervention's cost, within the range.

    Attributes:
        discards_unseen: Callers declare that they do not look at the intervention before they discard a decision.
        attribution: None takes only events that name their decision.
    """

    horizon_seconds: Seconds
    min: float
    max: float
    metrics: dict[Name, Metric]
    default: float = 0.0
    closes_on: Literal["horizon", "first_reward"] = "horizon"
    counts_when: Literal["answered", "activated"] = "answered"
    discards_unseen: bool = False
    attribution: Attribution | None = None

    @property
    def drops_unseen(self) -> bool:
        """Whether decisions that were never shown count for nothing; without the declaration they count as assigned."""
        return self.counts_when == "activated" and self.discards_unseen


class ColdStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is drawn from until `outcomes` outcomes have been learned: `hold` its share, the others the rest evenly."""

    hold: Share = 0.3
    outcomes: Annotated[int, Meta(ge=1)] = 100


class Exploration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How probabilities are made: an explorer, then the floors mixed in.

    Attributes:
        floor: Least probability of every eligible intervention other than `hold`.
        hold_floor: Least probability of `hold`.
    """

    explorer: Explorer = msgspec.field(default_factory=SquareCB)
    floor: Annotated[float, Meta(gt=0.0, le=0.2)] = 0.01
    hold_floor: Annotated[float, Meta(gt=0.0, le=0.9)] = 0.02
    cold_start: ColdStart = msgspec.field(default_factory=ColdStart)

    @property
    def lowest_floor(self) -> float:
        """Below it nothing is ever drawn."""
        return min(self.floor, self.hold_floor)


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models keep their bytes; the others can be derived again for as long as their rows are there.

    Starts and heads always do.
    """

    keep_last: Annotated[int, Meta(ge=10)] = 200
    hourly_days: Annotated[float, Meta(ge=0.0, le=3650.0)] = 7.0


class Learning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model learns: VW's weights, and how outcomes are cut into segments.

    Attributes:
        importance_cap: Most an outcome counts for: it is learned with a weight in proportion to 1 / propensity, at most
            this. With 1 all count alike; None leaves it to the floors, 1 / the lowest of them. Of a `cover` only the
            first policy heeds it, VW's others weigh by the propensity as it is.
    """

    updates: Literal["continuous", "gated"] = "continuous"
    learning_rate: Setting = 0.5
    importance_cap: Annotated[float, Meta(ge=1.0, le=3e38)] | None = None
    bits: Annotated[int, Meta(ge=10, le=24)] = 18
    interactions: tuple[Annotated[str, Meta(pattern="^[SA]{2,3}$")], ...] = ("SA",)
    segment_outcomes: Annotated[int, Meta(ge=1, le=1_000_000)] = 5000
    publish_seconds: Annotated[float, Meta(ge=0.0, le=3600.0)] = 0.25
    rebuild_hours: Annotated[float, Meta(ge=0.0, le=8760.0)] = 0.0
    checkpoints: Checkpoints = msgspec.field(default_factory=Checkpoints)


class ServingRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the service answers when something it needs is away.

    Attributes:
        when_unlogged: A decision that neither the database nor the spool can take: `default` answers `hold`, marked
            unlogged and never learned, `refuse` answers 503.
        interventions_per_request: Of several defects in one request, about how many something may be done.
    """

    when_unlogged: Literal["default", "refuse"] = "default"
    interventions_per_request: Annotated[int, Meta(ge=1, le=16)] = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy, whole."""

    format: Literal[1]
    name: PolicyTitle
    surface: Name
    description: str = ""
    defects: dict[Name, DefectType]
    context: Schema
    intervention_features: Schema = msgspec.field(default_factory=Schema)
    interventions: tuple[Intervention, ...]
    reward: Reward
    exploration: Exploration = msgspec.field(default_factory=Exploration)
    learning: Learning = msgspec.field(default_factory=Learning)
    gate: Gate = msgspec.field(default_factory=Gate)
    serving: ServingRules = msgspec.field(default_factory=ServingRules)
    rollout: RolloutRules = msgspec.field(default_factory=RolloutRules)
    limits: Limits = msgspec.field(default_factory=Limits)

    @property
    def policy(self) -> PolicyName:
        """The policy's name as the id used everywhere else."""
        return PolicyName(self.name)

    def intervention(self, identifier: InterventionId) -> Intervention:
        """The catalogue's entry. Raises KeyError when there is none."""
        for entry in self.interventions:
            if entry.id == identifier:
                return entry
        raise KeyError(identifier)

    @property
    def catalogue(self) -> tuple[InterventionId, ...]:
        """Every intervention in canonical order: the manifest's own."""
        return tuple(InterventionId(entry.id) for entry in self.interventions)

    @property
    def hold(self) -> Intervention:
        """The intervention that does nothing; every valid manifest has it."""
        return self.intervention(HOLD)


def manifest_sha(text: str) -> ManifestSha:
    """SHA-256 (hex) of a manifest's exact text: the identity under which the database keeps it."""
    return ManifestSha(hashlib.sha256(text.encode()).hexdigest())
