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

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
PolicyTitle = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(gt=0.0, le=90 * 86_400)]
Money = Annotated[float, Meta(ge=0.0, le=1e12)]


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
        attribution: None takes only events that name their decision.
    """

    horizon_seconds: Seconds
    min: float
    max: float
    metrics: dict[Name, Metric]
    default: float = 0.0
    closes_on: Literal["horizon", "first_reward"] = "horizon"
    counts_when: Literal["answered", "activated"] = "answered"
    attribution: Attribution | None = None


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


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models keep their bytes; the others can be derived again for as long as their rows are there.

    Starts and heads always do.
    """

    keep_last: Annotated[int, Meta(ge=10)] = 200
    hourly_days: Annotated[float, Meta(ge=0.0, le=3650.0)] = 7.0


class Learning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model learns: VW's weights, and how outcomes are cut into segments."""

    updates: Literal["continuous", "gated"] = "continuous"
    learning_rate: Setting = 0.5
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
    """

    when_unlogged: Literal["default", "refuse"] = "default"


class Guardrail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric of which more is worse, and by how much it may grow.

    Attributes:
        margin: On the metric scaled to [0, 1] by its range; there is no default, as zero growth can never be shown.
        min: Least value; None takes the metric's own.
        max: Greatest value; None takes the metric's own. A sum over events needs one.
    """

    metric: Name
    margin: Annotated[float, Meta(gt=0.0, lt=1.0)]
    min: float | None = None
    max: float | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What evidence a promotion needs.

    Attributes:
        unit: What one bet is placed on: a shopper's first decision, or the first ones within `window_days`.
        window_days: Days from a shopper's first decision; 0 for `first_decision`.
        decisions_per_unit: How many decisions of a shopper count; 1 for `first_decision`.
    """

    alpha: Annotated[float, Meta(gt=0, lt=0.5)] = 0.05
    minimum_improvement: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    weight_cap: Annotated[float, Meta(gt=1.0)] = 20.0
    minimum_days: Annotated[int, Meta(ge=7)] = 7
    unit: Literal["first_decision", "shopper_window"] = "first_decision"
    window_days: Annotated[float, Meta(ge=0.0, le=90.0)] = 0.0
    decisions_per_unit: Annotated[int, Meta(ge=1)] = 1
    guardrails: tuple[Guardrail, ...] = ()
    approvals: Annotated[int, Meta(ge=1, le=2)] = 1


class Bound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A harm whose mean must not exceed a bound, or who answers is taken back.

    Attributes:
        metric: One of the reward's, or `cost`: what the chosen intervention costs by the catalogue.
        bound: On the mean of a decision, in the metric's own unit.
        min: Least value; None takes the metric's own, 0 for `cost`.
        max: Greatest value; None takes the metric's own, the catalogue's dearest for `cost`. Greater ones count as it.
    """

    metric: Name
    bound: float
    min: float | None = None
    max: float | None = None


class RolloutRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a promotion of this policy comes to the shoppers, and who is kept from it for comparison.

    Attributes:
        hold_share: Share of the shoppers who are always left alone; 0 for none.
        hold_rotation_days: After so many days other shoppers are; 0 for never.
        previous_share: Share of the others whom the policy replaced by a promotion goes on answering; 0 for none.
        canary_shares: The canary's share, step by step.
        canary_hours: Least length of a step.
        canary_shoppers: Least number of the canary's shoppers who were first exposed within a step.
        canary_window_hours: How long from a shopper's first exposure rewards count; None takes the reward's horizon.
        canary_reward_cap: Most reward of a shopper within that window, in the reward's own unit, that counts.
        alarm_at: c: the mean number of shoppers until a false alarm of a watch is at least this.
        maximum_shift: Most total variation by which a published model may move the probabilities of the golden
            situations; None for no bound.
        guardrails: Harms that are watched in the canary and in what is live, each by itself.
        apprentice: A first version imitates the baseline that callers send until a promotion lets it go.
    """

    hold_share: Annotated[float, Meta(ge=0.0, le=0.2)] = 0.0
    hold_rotation_days: Annotated[float, Meta(ge=0.0, le=3650.0)] = 91.0
    previous_share: Annotated[float, Meta(ge=0.0, le=0.2)] = 0.03
    canary_shares: tuple[Annotated[float, Meta(gt=0.0, le=0.5)], ...] = (0.05, 0.2)
    canary_hours: Annotated[float, Meta(ge=0.0, le=2160.0)] = 24.0
    canary_shoppers: Annotated[int, Meta(ge=1)] = 500
    canary_window_hours: Annotated[float, Meta(gt=0.0, le=2160.0)] | None = None
    canary_reward_cap: Annotated[float, Meta(gt=0.0)] | None = None
    alarm_at: Annotated[float, Meta(gt=1.0)] = 100_000.0
    maximum_shift: Annotated[float, Meta(gt=0.0, le=1.0)] | None = None
    guardrails: tuple[Bound, ...] = ()
    apprentice: bool = False


class Cap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a shopper may get any of some interventions within a time.

    Attributes:
        interventions: Counted together; empty means all but `hold`.
        seconds: The time looked back on, at every request.
    """

    interventions: tuple[Name, ...] = ()
    most: Annotated[int, Meta(ge=1, le=1000)]
    seconds: Seconds


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keeps the policy from correcting too often or too dearly, beside the catalogue's own budgets.

    Attributes:
        cooldown_seconds: After any intervention but `hold` a shopper is left alone for so long; 0 for never.
        exploration_cost_per_day: Most money of a day for drawing another intervention than the most probable one; None
            for no bound.
        anonymous: Whether a request without a subject, whose shopper nobody can count, may get what caps are about.
        time_zone: Whose midnight begins a day, by its IANA name.
    """

    caps: tuple[Cap, ...] = ()
    cooldown_seconds: Annotated[float, Meta(ge=0.0, le=90 * 86_400)] = 0.0
    exploration_cost_per_day: Money | None = None
    anonymous: Literal["allow", "hold"] = "allow"
    time_zone: str = "UTC"


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
