"""Decide: a validated request and a served policy in, a decision out, with the vector it was really drawn from."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from cxi_bandit.domain.assignment import Assignment
from cxi_bandit.domain.decision import HOLD, Decision, DecisionRequest, Fallback, Features, Situation
from cxi_bandit.domain.errors import DistributionInvalid, InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ModelVersion, minted_at
from cxi_bandit.domain.model import Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.ports import Scorer
from cxi_bandit.policy.caps import caps_of
from cxi_bandit.policy.draw import DrawKey, draw, uniform
from cxi_bandit.policy.eligibility import NOTHING_WITHHELD, Eligibility, Withheld, less
from cxi_bandit.policy.features import conform
from cxi_bandit.policy.manifest import Manifest, Schema
from cxi_bandit.policy.pmf import checked, floored

DRAW_LABEL: Final = b"draw"
_REMEMBERED: Final = 1024
_BLOCK_BYTES: Final = hashlib.sha256().block_size


class ServedPolicy:
    """A policy version as a worker serves it: manifest, rules laid out, and the model if one is loaded.

    Immutable; a new model makes a new ServedPolicy, so a request sees one model from start to end.

    Attributes:
        asked: The scorer, once the model has learned enough to be asked.
    """

    def __init__(
        self,
        version: PolicyVersion,
        manifest: Manifest,
        model: Model | None,
        scorer: Scorer | None,
        eligibility: Eligibility | None = None,
    ) -> None:
        self.version = version
        self.manifest = manifest
        self.model = model
        self.scorer = scorer
        self.eligibility = eligibility or Eligibility(manifest)
        self.caps = caps_of(manifest)
        self.horizon = timedelta(seconds=manifest.reward.horizon_seconds)
        self.catalogue = frozenset(manifest.catalogue)
        self.warm = model is not None and model.lineage.learned_total >= manifest.exploration.cold_start.outcomes
        self.asked = scorer if self.warm else None
        self._floors: dict[tuple[InterventionId, ...], list[float]] = {}

    def with_model(self, model: Model, scorer: Scorer | None) -> "ServedPolicy":
        """The same policy version serving another model."""
        return ServedPolicy(self.version, self.manifest, model, scorer, self.eligibility)

    def in_stage(self, version: PolicyVersion) -> "ServedPolicy":
        """The same version and model after a roll-out that put the version into another stage."""
        return ServedPolicy(version, self.manifest, self.model, self.scorer, self.eligibility)

    def floors(self, eligible: tuple[InterventionId, ...]) -> list[float]:
        """The least probability of each eligible intervention; not to be changed. Few combinations come up."""
        found = self._floors.get(eligible)
        if found is None:
            exploration = self.manifest.exploration
            found = [exploration.hold_floor if name == HOLD else exploration.floor for name in eligible]
            if len(self._floors) < _REMEMBERED:
                self._floors[eligible] = found
        return found


class Distribution(NamedTuple):
    """The vector to draw from, and which model made it, or why none did."""

    probabilities: tuple[float, ...]
    model_version: ModelVersion | None
    fallback: Fallback | None


_ALONE: Final = Distribution((1.0,), None, None)


class Admitted(NamedTuple):
    """A request held against the manifest."""

    situation: Situation
    excluded: dict[InterventionId, str]
    dropped_features: int


def admit(request: DecisionRequest, served: ServedPolicy, withheld: Withheld = NOTHING_WITHHELD) -> Admitted:
    """Checks a request against the policy's manifest and resolves the eligible set.

    Args:
        withheld: What limits keep from being drawn now, before anything is drawn.

    Raises:
        InvalidInput: Names the field at fault by JSON pointer.
    """
    manifest, defect = served.manifest, request.defect
    if defect.type not in manifest.defects:
        known = ", ".join(manifest.defects)
        raise InvalidInput("/defect/type", f"{defect.type!r} is not a defect of policy {manifest.name}; known: {known}")
    if not 0.0 <= defect.severity <= 1.0:
        raise InvalidInput("/defect/severity", f"must lie within [0, 1], got {defect.severity!r}")
    if not 0.0 <= defect.confidence <= 1.0:
        raise InvalidInput("/defect/confidence", f"must lie within [0, 1], got {defect.confidence!r}")
    context, dropped = conform(manifest.context, request.context, "/context")
    named: dict[InterventionId, Features] = {}
    for index, offer in enumerate(request.interventions or ()):
        if offer.id not in served.catalogue:
            wrong = f"{offer.id!r} is not an intervention of policy {manifest.name}"
            raise InvalidInput(f"/interventions/{index}/id", wrong)
        features, unknown = _offered(manifest.intervention_features, offer.features, index)
        first = named.setdefault(offer.id, features)
        if first is not features and first != features:
            wrong = f"{offer.id!r} is named twice with other features; name it once"
            raise InvalidInput(f"/interventions/{index}/features", wrong)
        dropped += unknown
    offered = {name: features for name, features in named.items() if features}
    found = served.eligibility.resolve(defect, context, request.interventions)
    eligible, excluded = less(found, withheld) if withheld else found
    situation = Situation(defect=defect, context=context, eligible=eligible, offered=offered)
    return Admitted(situation, excluded, dropped)


def _offered(schema: Schema, given: Features, index: int) -> tuple[Features, int]:
    """A caller's features of one intervention; none, and so the catalogue's, where it sent none that are known here."""
    if not given:
        return {}, 0
    if schema.unknown_features == "drop" and schema.features.keys().isdisjoint(given):
        return {}, len(given)
    try:
        return conform(schema, given, "")
    except InvalidInput as error:
        raise InvalidInput(f"/interventions/{index}/features{error.pointer}", error.detail) from error


def distribution(served: ServedPolicy, situation: Situation) -> Distribution:
    """The probabilities after check and floor: what is drawn from, logged and answered, bit for bit."""
    eligible = situation.eligible
    if len(eligible) == 1:
        return _ALONE
    vector = None if served.asked is None else served.asked.probabilities(situation)
    return _told(served, eligible, vector, served.floors(eligible))


def distributions(policies: Sequence[ServedPolicy], situation: Situation) -> list[Distribution]:
    """What each of several of one manifest gives alone, bit for bit. Their models score together, which costs less."""
    eligible = situation.eligible
    asked = [one.asked for one in policies if one.asked is not None]
    if len(asked) < 2 or len(eligible) == 1:  # noqa: PLR2004 - nobody to score together with
        return [distribution(one, situation) for one in policies]
    vectors, floors = iter(asked[0].together(situation, asked[1:])), policies[0].floors(eligible)
    return [_told(one, eligible, None if one.asked is None else next(vectors), floors) for one in policies]


def preferred(served: ServedPolicy, situation: Situation) -> Sequence[float]:
    """What would be drawn from if there were no floors; there is more than `hold` to choose from."""
    vector = None if served.asked is None else served.asked.probabilities(situation)
    return _told(served, situation.eligible, vector, None).probabilities


def _told(
    served: ServedPolicy,
    eligible: tuple[InterventionId, ...],
    vector: Sequence[float] | None,
    floors: Sequence[float] | None,
) -> Distribution:
    """A model's vector once it is checked, and floored where floors are given.

    No model yet, too little learned, or a vector that fails its check: the cold-start distribution, and the reason.
    """
    if vector is not None and served.model is not None:
        try:
            pmf = checked(vector, len(eligible))
        except DistributionInvalid:
            fallback = Fallback.MODEL_REFUSED
        else:
            found = tuple(pmf) if floors is None else floored(pmf, floors)
            return Distribution(found, served.model.lineage.version, None)
    elif served.warm or served.model is None:
        fallback = Fallback.MODEL_UNAVAILABLE
    else:
        fallback = Fallback.COLD_START
    cold = _cold(served.manifest.exploration.cold_start.hold, eligible)
    return Distribution(tuple(cold) if floors is None else floored(cold, floors), None, fallback)


def certain(eligible: Sequence[InterventionId], chosen: InterventionId) -> Distribution:
    """All of the probability on one intervention: nothing was drawn, and the log says so."""
    return Distribution(tuple([1.0 if name == chosen else 0.0 for name in eligible]), None, None)


def imitation(served: ServedPolicy, situation: Situation, baseline: InterventionId) -> Distribution:
    """An apprentice's vector: the baseline, and of every other intervention the floor."""
    eligible = situation.eligible
    return Distribution(floored(certain(eligible, baseline).probabilities, served.floors(eligible)), None, None)


def _cold(hold: float, eligible: Sequence[InterventionId]) -> list[float]:
    rest = (1.0 - hold) / (len(eligible) - 1)
    return [hold if name == HOLD else rest for name in eligible]


def decide(
    request: DecisionRequest,
    admitted: Admitted,
    served: ServedPolicy,
    decision_id: DecisionId,
    draw_key: DrawKey,
    subject_key: bytes,
    *,
    shopper: bytes | None = None,
    drawn: Distribution | None = None,
    assignment: Assignment | None = None,
    override_id: int | None = None,
    request_id: UUID | None = None,
) -> Decision:
    """Draws an intervention for an admitted request. Pure: the same arguments give the same decision.

    Args:
        shopper: The pseudonym of the shopper, where whoever calls knows it already.
        drawn: What is drawn from; None for what the served policy gives.
    """
    situation = admitted.situation
    probabilities, model_version, fallback = distribution(served, situation) if drawn is None else drawn
    u = uniform(draw_key, DRAW_LABEL, decision_id)
    index = draw(probabilities, u)
    decided_at = minted_at(decision_id)
    version = served.version
    if shopper is None and request.subject is not None:
        shopper = pseudonym(subject_key, request.subject)
    return Decision(
        decision_id=decision_id,
        decided_at=decided_at,
        closes_at=decided_at + served.horizon,
        policy=version.policy,
        policy_version=version.version,
        manifest_sha=version.manifest_sha,
        model_version=model_version,
        stage=version.stage,
        surface=request.surface,
        subject=shopper,
        situation=situation,
        excluded=admitted.excluded,
        probabilities=probabilities,
        intervention=situation.eligible[index],
        propensity=probabilities[index],
        draw_key_id=draw_key.key_id,
        u=u,
        fallback=fallback,
        assignment=assignment,
        override_id=override_id,
        request_id=request_id,
    )


def unlogged(decision: Decision) -> Decision:
    """What is answered when a decision can be logged nowhere: `hold`, for certain, and flagged. Never kept or learned.

    Drawing would be of no use without a row that says with which probability.
    """
    return msgspec.structs.replace(
        decision,
        situation=msgspec.structs.replace(decision.situation, eligible=(HOLD,)),
        probabilities=(1.0,),
        intervention=HOLD,
        propensity=1.0,
        model_version=None,
        fallback=Fallback.UNLOGGED,
    )


def pseudonym(subject_key: bytes, subject: str) -> bytes:
    """HMAC-SHA-256 of the shopper's key: equal shoppers stay equal, and nobody can look them up without the key."""
    inner, outer = _keyed(subject_key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(subject.encode())
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(_REMEMBERED)
def _keyed(secret: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """Both halves of HMAC (RFC 2104) once they have taken in their key: 2 microseconds from there, 7 from the start."""
    block = secret if len(secret) <= _BLOCK_BYTES else hashlib.sha256(secret).digest()
    block = block.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(bytes([one ^ 0x36 for one in block])), hashlib.sha256(bytes([one ^ 0x5C for one in block]))
