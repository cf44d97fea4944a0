"""The decision desk: from a decoded request to an answer that is durable, or is said not to be."""

from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect, Durability, Offer
from cxi_bandit.domain.errors import IdempotencyConflict, InvalidInput, Unavailable
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, PolicyName
from cxi_bandit.engine.choose import Chosen, Keys, ServedRollout
from cxi_bandit.engine.decide import unlogged
from cxi_bandit.engine.explain import why
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken, Spool
from cxi_bandit.engine.rank import Ranking, rank
from cxi_bandit.service.keys_under_way import KeysUnderWay
from cxi_bandit.service.wire import DecisionAnswer, DecisionBody, DefectBody, Reasons
from cxi_bandit.service.writer import NotWritten, Writer, Written
from cxi_bandit.telemetry.metrics import Metrics


class Answered(NamedTuple):
    """The decision that stands, and whether it was made by an earlier request with the same Idempotency-Key."""

    decision: Decision
    replayed: bool
    durability: Durability


class Desk:
    """Decides on the event loop (a tenth of a millisecond; a thread would want the same GIL), writes in a thread."""

    def __init__(self, engine: Engine, writer: Writer, spool: Spool, metrics: Metrics, threads: Executor) -> None:
        self._engine = engine
        self._writer = writer
        self._spool = spool
        self._metrics = metrics
        self._threads = threads
        self._keys = Keys(engine.draw_key, engine.subject_key)
        self._under_way: KeysUnderWay[Written] = KeysUnderWay(_holds_its_key)

    def propose(self, body: DecisionBody) -> Chosen:
        """Decides about one defect, without logging.

        Raises:
            InvalidInput: Names the field at fault.
        """
        if body.defect is UNSET:
            raise InvalidInput("/defect", "is required where there are no `defects`; send one of the two")
        request = _request(body, body.defect)
        return self.choose(request, self._engine.serving.rollout_for(request))

    def rank(self, body: DecisionBody) -> Ranking:
        """Ranks the several defects of a request.

        Raises:
            InvalidInput: Names the field at fault.
        """
        defects = [] if body.defects is UNSET else body.defects
        if body.defect is not UNSET:
            raise InvalidInput("/defects", "goes without `defect`; send one of the two")
        seen: set[str] = set()
        for index, defect in enumerate(defects):
            if defect.type in seen:
                raise InvalidInput(f"/defects/{index}/type", f"{defect.type!r} is there twice; send each type once")
            seen.add(defect.type)
        return rank([_request(body, defect) for defect in defects], self._engine.serving)

    def choose(self, request: DecisionRequest, routed: ServedRollout, request_id: UUID | None = None) -> Chosen:
        """Draws, without logging."""
        engine = self._engine
        decision_id = engine.mint.mint(engine.clock())
        chosen = routed.choose(request, engine.serving.overrides, decision_id, self._keys, request_id)
        if chosen.dropped_features:
            self._metrics.dropped_features.labels(routed.policy).inc(chosen.dropped_features)
        return chosen

    def preview(self, chosen: Chosen) -> DecisionAnswer:
        """The answer of a dry run: what would be decided, and why. Nothing was drawn for anyone: no propensity."""
        decision = chosen.decision
        reasons = Reasons(
            excluded=decision.excluded,
            basis=why(chosen.served, decision),
            override=self._engine.serving.overrides.named(decision.override_id),
            assignment=decision.assignment,
        )
        return msgspec.structs.replace(answer(decision, Durability.UNLOGGED), propensity=None, why=reasons)

    async def commit(
        self, decision: Decision, idempotency: IdempotencyToken | None, deadline_seconds: float
    ) -> Answered:
        """Makes a decision durable, or finds the one that stands for its Idempotency-Key.

        Where nothing takes it, the manifest says whether the default is answered instead.

        Raises:
            IdempotencyConflict: The key was used before with another body.
            IdempotencyInProgress: The first request with the key was not answered in time.
            Unavailable: Too many wait, the deadline passed, or nothing takes the decision and the manifest refuses.
        """
        try:
            if idempotency is None:
                written = await self._writer.write(DecisionEntry(decision), deadline_seconds)
                replayed = False
            else:
                written, replayed = await self._once(
                    DecisionEntry(decision, idempotency), idempotency, deadline_seconds
                )
        except NotWritten:
            return self._default(decision)
        landed, durability = written
        if isinstance(landed, IdempotencyConflict):
            raise landed
        self._metrics.decisions.labels(landed.policy, landed.intervention).inc()
        if landed.fallback is not None:
            self._metrics.fallbacks.labels(landed.policy, landed.fallback.value).inc()
        if landed.decision_id != decision.decision_id:
            replayed = True
            self._threads.submit(self._note_answered, landed.decision_id)
        return Answered(landed, replayed, durability)

    def _note_answered(self, decision_id: DecisionId) -> None:
        """The first answer with this key may have come too late for anyone to see; this one was seen.

        Noted beside the answer, not before it: where the note gets lost, a decision is not learned, and that is all.
        """
        with suppress(Unavailable):
            self._engine.store.decisions.answered([decision_id])

    async def _once(
        self, entry: DecisionEntry, token: IdempotencyToken, deadline_seconds: float
    ) -> tuple[Written, bool]:
        async def write(seconds: float) -> Written:
            spooled = self._spool.find(token.caller, token.key)
            if spooled is None:
                return await self._writer.write(entry, seconds)
            if spooled.idempotency is None or spooled.idempotency.body_sha256 != token.body_sha256:
                return Written(IdempotencyConflict(token.key), Durability.SPOOLED)
            return Written(spooled.decision, Durability.SPOOLED)

        return await self._under_way.answer(token, deadline_seconds, write)

    def _default(self, decision: Decision) -> Answered:
        """The manifest's answer to a decision that could be logged nowhere."""
        if self._engine.manifests.by_sha(decision.manifest_sha).serving.when_unlogged == "refuse":
            raise NotWritten
        self._metrics.unlogged.labels(decision.policy).inc()
        return Answered(unlogged(decision), replayed=False, durability=Durability.UNLOGGED)


def _holds_its_key(written: Written) -> bool:
    return not isinstance(written.standing, IdempotencyConflict)


def _request(body: DecisionBody, defect: DefectBody) -> DecisionRequest:
    offers = body.interventions
    return DecisionRequest(
        surface=body.surface,
        defect=Defect(defect.type, defect.severity, defect.confidence),
        context=_stated(body.context),
        policy=None if body.policy is None else PolicyName(body.policy),
        subject=body.subject,
        interventions=None
        if offers is None
        else tuple(Offer(InterventionId(offer.id), _stated(offer.features)) for offer in offers),
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
