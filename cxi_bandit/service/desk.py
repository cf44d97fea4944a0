"""The decision desk: from a decoded request to an answer that is durable, or is said not to be."""

from typing import Any, NamedTuple

from msgspec import UNSET

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect, Durability, Offer
from cxi_bandit.domain.errors import IdempotencyConflict
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.service.batcher import Batcher
from cxi_bandit.service.wire import DecisionAnswer, DecisionBody
from cxi_bandit.telemetry.metrics import Metrics

DecisionBatcher = Batcher[DecisionEntry, Decision | IdempotencyConflict]


class Answered(NamedTuple):
    """The decision that stands, and whether it was made by an earlier request with the same Idempotency-Key."""

    decision: Decision
    replayed: bool


class Desk:
    """Decides on the event loop (a tenth of a millisecond, and the learner holds the GIL anyway), logs in a thread."""

    def __init__(self, engine: Engine, batcher: DecisionBatcher, metrics: Metrics) -> None:
        self._engine = engine
        self._batcher = batcher
        self._metrics = metrics

    def propose(self, body: DecisionBody) -> Decision:
        """Decides without logging.

        Raises:
            InvalidInput: Names the field at fault.
        """
        engine = self._engine
        request = _request(body)
        served = engine.serving.route(request)
        admitted = admit(request, served)
        if admitted.dropped_features:
            self._metrics.dropped_features.labels(served.version.policy).inc(admitted.dropped_features)
        decision_id = engine.mint.mint(engine.clock())
        return decide(request, admitted, served, decision_id, engine.draw_key, engine.subject_key)

    async def commit(
        self, decision: Decision, idempotency: IdempotencyToken | None, deadline_seconds: float
    ) -> Answered:
        """Logs a decision, or finds the one that stands for its Idempotency-Key.

        Raises:
            IdempotencyConflict: The key was used before with another body.
            Unavailable: The log is away, full, or late.
        """
        landed = (await self._batcher.submit((DecisionEntry(decision, idempotency),), deadline_seconds))[0]
        if isinstance(landed, IdempotencyConflict):
            raise landed
        self._metrics.decisions.labels(landed.policy, landed.intervention).inc()
        if landed.fallback is not None:
            self._metrics.fallbacks.labels(landed.policy, landed.fallback.value).inc()
        return Answered(landed, landed.decision_id != decision.decision_id)


def _request(body: DecisionBody) -> DecisionRequest:
    defect, offers = body.defect, body.interventions
    return DecisionRequest(
        surface=body.surface,
        defect=Defect(defect.type, defect.severity, defect.confidence),
        context=_stated(body.context),
        policy=None if body.policy is None else PolicyName(body.policy),
        subject=body.subject,
        interventions=None
        if offers is None
        else tuple(Offer(InterventionId(offer.id), _stated(offer.features)) for offer in offers),
    )


def _stated(features: dict[str, Any]) -> dict[str, Any]:
    """Null says that the feature is not known, as leaving it out does."""
    if None in features.values():
        return {name: value for name, value in features.items() if value is not None}
    return features


def answer(decision: Decision, *, logged: bool = True) -> DecisionAnswer:
    """What the caller gets. Without a row in the log there is no id to send rewards for, and no propensity to use."""
    return DecisionAnswer(
        decision_id=decision.decision_id if logged else None,
        intervention=decision.intervention,
        propensity=decision.propensity if logged else None,
        probabilities=dict(zip(decision.situation.eligible, decision.probabilities, strict=True)),
        policy=decision.policy,
        policy_version=decision.policy_version,
        model_version=decision.model_version,
        stage=decision.stage,
        durability=Durability.COMMITTED if logged else Durability.UNLOGGED,
        closes_at=decision.closes_at if logged else None,
        fallback=UNSET if decision.fallback is None else decision.fallback,
    )
