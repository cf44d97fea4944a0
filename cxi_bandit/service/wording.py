"""From the messages that travel to the engine's words, and back."""

from typing import Any

from msgspec import UNSET

from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect, Durability, Offer
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.service.wire import DecisionAnswer, DecisionBody, DefectBody


def only_defect(body: DecisionBody) -> DefectBody:
    """The defect of a request about one.

    Raises:
        InvalidInput: It names none.
    """
    if body.defect is UNSET:
        raise InvalidInput("/defect", "is required where there are no `defects`; send one of the two")
    return body.defect


def several_defects(body: DecisionBody) -> list[DefectBody]:
    """The defects of a request about several.

    Raises:
        InvalidInput: It names one besides, or one type twice.
    """
    defects = [] if body.defects is UNSET else body.defects
    if body.defect is not UNSET:
        raise InvalidInput("/defects", "goes without `defect`; send one of the two")
    seen: set[str] = set()
    for index, defect in enumerate(defects):
        if defect.type in seen:
            raise InvalidInput(f"/defects/{index}/type", f"{defect.type!r} is there twice; send each type once")
        seen.add(defect.type)
    return defects


def request_of(body: DecisionBody, defect: DefectBody) -> DecisionRequest:
    """The engine's question about one of a message's defects."""
    offers = body.interventions
    return DecisionRequest(
        surface=body.surface,
        defect=Defect(defect.type, defect.severity, defect.confidence),
        context=_stated(body.context),
        policy=None if body.policy is None else PolicyName(body.policy),
        subject=body.subject,
        interventions=None
        if offers is None
        else tuple([Offer(InterventionId(offer.id), _stated(offer.features)) for offer in offers]),
        baseline=None if body.baseline is None else InterventionId(body.baseline),
    )


def _stated(features: dict[str, Any]) -> dict[str, Any]:
    """Null says that the feature is not known, as leaving it out does."""
    if None in features.values():
        return {name: value for name, value in features.items() if value is not None}
    return features


def answer(decision: Decision, durability: Durability) -> DecisionAnswer:
    """What the caller gets. Without a row in the log there is no id to send rewards for."""
    logged = durability is not Durability.UNLOGGED
    return DecisionAnswer(
        decision_id=decision.decision_id if logged else None,
        intervention=decision.intervention,
        propensity=decision.propensity,
        probabilities=dict(zip(decision.situation.eligible, decision.probabilities, strict=True)),
        policy=decision.policy,
        policy_version=decision.policy_version,
        model_version=decision.model_version,
        stage=decision.stage,
        durability=durability,
        closes_at=decision.closes_at if logged else None,
        fallback=UNSET if decision.fallback is None else decision.fallback,
        arm=UNSET if decision.assignment is None else decision.assignment.arm,
        override_id=UNSET if decision.override_id is None else decision.override_id,
    )
